-- :name stale_bucket
-- Find a bucket that has stale hashes.
SELECT bucket FROM stale_address_hashes LIMIT 1;

-- :name lock
-- Lock some accounts of a bucket that have stale hashes.
SELECT accounts.account_key, accounts.email, accounts.address_hash
FROM accounts JOIN stale_address_hashes USING (bucket, account_key)
WHERE bucket = %(bucket)s AND accounts.email IS NOT NULL
ORDER BY account_key LIMIT %(limit)s FOR NO KEY UPDATE OF accounts;

-- :name copy_marks
-- Mark mailboxes under the hashes of their postal addresses as they are marked under the stale ones.
INSERT INTO mailbox_marks (bucket, address_hash, mark, marked_at, stated_at, recorded_at, lifted_at,
                           lifted_for)
SELECT DISTINCT ON (postal, mark)
       bucket_of_hash(postal), postal, mark, marked_at, stated_at, recorded_at, lifted_at, lifted_for
FROM unnest(%(stale)s::bytea[], %(postal)s::bytea[]) AS hashes (stale, postal)
JOIN mailbox_marks ON bucket = bucket_of_hash(stale) AND address_hash = stale
ORDER BY postal, mark, lifted_at DESC NULLS FIRST
ON CONFLICT (bucket, address_hash, mark) DO UPDATE
SET marked_at = excluded.marked_at, lifted_at = NULL, lifted_for = NULL
WHERE mailbox_marks.lifted_at IS NOT NULL AND excluded.lifted_at IS NULL
RETURNING address_hash;

-- :name write_notices
-- Give the notices that went to these addresses the new hashes: a late bounce counts for the mailbox.
UPDATE notices SET address_hash = hashes.postal
FROM unnest(%(keys)s::bigint[], %(stale)s::bytea[], %(postal)s::bytea[])
     AS hashes (account_key, stale, postal)
WHERE notices.bucket = %(bucket)s AND notices.account_key = hashes.account_key
  AND notices.address_hash = hashes.stale;

-- :name write_accounts
-- Give accounts their addresses with the new hashes.
WITH written AS (
    UPDATE accounts SET email = hashes.email, address_hash = hashes.postal
    FROM unnest(%(keys)s::bigint[], %(emails)s::text[], %(postal)s::bytea[])
         AS hashes (account_key, email, postal)
    WHERE accounts.bucket = %(bucket)s AND accounts.account_key = hashes.account_key
    RETURNING accounts.bucket, accounts.account_key
)
-- :include accounts_written

-- :name end
-- Take accounts of a bucket out: those that were done, and those that have no address any more.
DELETE FROM stale_address_hashes AS stale
WHERE bucket = %(bucket)s
  AND (account_key = ANY(%(keys)s::bigint[]) OR %(keys)s::bigint[] = '{}');
