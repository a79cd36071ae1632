-- :name after_lifting
-- Ask again what did not reach mailboxes, where a person or their account has lifted a mark since.
WITH written AS (
    UPDATE notices SET again = 'lifted'
    FROM unnest(%(address_hash)s::bytea[], %(mark)s::text[], %(at)s::timestamptz[])
         AS lifted (address_hash, mark, at)
    JOIN mailbox_marks AS marks ON marks.bucket = bucket_of_hash(lifted.address_hash)
     AND marks.address_hash = lifted.address_hash AND marks.mark = lifted.mark
     AND marks.marked_at < lifted.at
    WHERE notices.address_hash = lifted.address_hash AND lifted.at > undelivered_at
      AND kind = 'choice' AND undelivered AND NOT dead AND coalesce(again, 'given_up') = 'given_up'
    RETURNING notices.bucket, notices.account_key
)
-- :include accounts_written

-- :name after_delivery
-- Ask again what did not reach mailboxes that take mail again since, while no more than so many of
-- its version to the account did not arrive there.
WITH written AS (
    UPDATE notices SET again = 'delivered'
    FROM unnest(%(address_hash)s::bytea[], %(at)s::timestamptz[]) AS delivered (address_hash, at)
    WHERE notices.address_hash = delivered.address_hash AND delivered.at > undelivered_at
      AND kind = 'choice' AND undelivered AND NOT dead AND coalesce(again, 'given_up') = 'given_up'
      AND (SELECT count(*) FROM notices AS tried
           WHERE tried.bucket = notices.bucket AND tried.account_key = notices.account_key
             AND tried.version_id = notices.version_id AND tried.kind = 'choice'
             AND tried.undelivered AND tried.address_hash = notices.address_hash) <= %(most)s
    RETURNING notices.bucket, notices.account_key
)
-- :include accounts_written
