-- :name waiting
-- Find questions that did not arrive long ago, and were not looked at since.
SELECT account_key, notice_id FROM notices
WHERE version_id = ANY(%(latest)s::integer[]) AND undelivered_at <= %(until)s
  AND kind = 'choice' AND undelivered AND NOT dead AND settled IS NULL AND again IS NULL
LIMIT %(limit)s;

-- :name lock_waiting
-- Lock such questions of a bucket. `hopeful`: it is the account's last one, nothing is known against
-- its mailbox, which the account still has, and time has not been given often enough.
SELECT notices.account_key, notices.notice_id,
       reach.address = 'ok' AND reach.address_hash = notices.address_hash
       AND notices.notice_id = (
           SELECT last.notice_id FROM last_notices AS last
           WHERE last.bucket = %(bucket)s AND last.account_key = notices.account_key
             AND last.version_id = notices.version_id)
       AND (SELECT count(*) FROM notices AS tried
            WHERE tried.bucket = %(bucket)s AND tried.account_key = notices.account_key
              AND tried.version_id = notices.version_id AND tried.kind = 'choice'
              AND tried.undelivered AND tried.address_hash = notices.address_hash) <= %(most)s
           AS hopeful
FROM notices JOIN account_reach AS reach
  ON reach.bucket = notices.bucket AND reach.account_key = notices.account_key
WHERE notices.bucket = %(bucket)s AND notices.account_key = ANY(%(keys)s::bigint[])
  AND notices.notice_id = ANY(%(notice_ids)s::uuid[])
  AND kind = 'choice' AND undelivered AND NOT dead AND settled IS NULL AND again IS NULL
FOR NO KEY UPDATE OF notices SKIP LOCKED
FOR SHARE OF reach SKIP LOCKED;

-- :name wait_over
-- Ask such questions again, or give them up until something else speaks for it.
WITH written AS (
    UPDATE notices SET again = CASE WHEN waited.hopeful THEN 'waited' ELSE 'given_up' END
    FROM unnest(%(account_key)s::bigint[], %(notice_id)s::uuid[], %(hopeful)s::boolean[])
         AS waited (account_key, notice_id, hopeful)
    WHERE notices.bucket = bucket_of(waited.account_key)
      AND notices.account_key = waited.account_key AND notices.notice_id = waited.notice_id
    RETURNING notices.bucket, notices.account_key
)
-- :include accounts_written

-- :name missed
-- Find some of what did not arrive of a version, and tell what becomes of it once it is ordered again:
-- its account can be written to, or has a mailbox that is marked.
SELECT account_key, notice_id,
       reach.address = 'ok' AND status = 'active' AND contact <> 'none' AND NOT minor AS reachable,
       reach.address = 'bounced' AS marked
FROM notices JOIN account_reach AS reach USING (bucket, account_key)
WHERE version_id = %(version_id)s AND undelivered_at < %(before)s
  AND kind = 'choice' AND undelivered AND NOT dead AND notices.address_hash IS NOT NULL
  AND settled IS NULL AND coalesce(again, 'given_up') = 'given_up'
LIMIT %(limit)s;

-- :name resend
-- Ask again what did not arrive.
WITH written AS (
    UPDATE notices SET again = 'ordered'
    FROM listed(%(account_key)s::bigint[], %(notice_id)s::uuid[])
    WHERE notices.bucket = listed.bucket AND notices.account_key = listed.account_key
      AND notices.notice_id = listed.notice_id
      AND undelivered AND NOT dead AND settled IS NULL AND coalesce(again, 'given_up') = 'given_up'
    RETURNING notices.bucket, notices.account_key
)
-- :include accounts_written

-- :name keep_order
-- Keep that an operator ordered it, and why.
INSERT INTO release_orders (version_id, what, at, said_by, reason, notices)
VALUES (%(version_id)s, 'resend', %(at)s, %(said_by)s, %(reason)s, %(notices)s)
ON CONFLICT DO NOTHING;
