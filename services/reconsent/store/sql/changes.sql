-- :name followed
-- List the streams that a follower follows.
SELECT DISTINCT stream FROM followers WHERE follower = %(follower)s;

-- :name changes_after
-- Read the next changes of a stream that a follower has not seen, up to `limit` in each bucket, and up
-- to the oldest transaction still running. Transactions are ordered as xid8: as text, 1000 would come
-- before 999. A bucket's transactions are compared with one another only.
SELECT followers.bucket, next.changed::text AS transaction, next.account_key
FROM followers
CROSS JOIN LATERAL (
    SELECT changed, account_key FROM changes
    WHERE changes.bucket = followers.bucket AND changes.stream = followers.stream
      AND (changes.changed, changes.account_key) > (followers.changed, followers.account_key)
      AND changes.changed < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY changes.changed, changes.account_key LIMIT %(limit)s
) AS next
WHERE follower = %(follower)s AND stream = %(stream)s
ORDER BY followers.bucket, next.changed, next.account_key;

-- :name is_behind
-- Tell whether a follower has not seen more than `by` changes of a bucket and stream, also of
-- transactions that are still running.
SELECT EXISTS (
    SELECT 1 FROM followers
    CROSS JOIN LATERAL (
        SELECT 1 FROM changes
        WHERE changes.bucket = followers.bucket AND changes.stream = followers.stream
          AND (changes.changed, changes.account_key) > (followers.changed, followers.account_key)
        ORDER BY changes.changed, changes.account_key OFFSET %(by)s LIMIT 1
    ) AS next
    WHERE follower = %(follower)s);

-- :name follow_to
-- Record how far a follower came in some buckets of a stream.
UPDATE followers SET changed = seen.transaction::xid8, account_key = seen.account_key,
    moved_at = now()
FROM unnest(%(buckets)s::smallint[], %(transactions)s::text[], %(account_keys)s::bigint[])
     AS seen (bucket, transaction, account_key)
WHERE followers.bucket = seen.bucket
  AND follower = %(follower)s AND stream = %(stream)s;

-- :name oldest
-- Read the oldest transaction that is still running where each bucket lies. A statement that writes
-- would read it where it is asked.
SELECT bucket, pg_snapshot_xmin(pg_current_snapshot())::text AS transaction FROM buckets;

-- :name begin_following
-- Follow streams from some transactions.
INSERT INTO followers (bucket, follower, stream, changed, account_key)
SELECT bucket, %(follower)s, stream, oldest.transaction::xid8, 0
FROM unnest(%(buckets)s::smallint[], %(transactions)s::text[]) AS oldest (bucket, transaction)
CROSS JOIN unnest(%(streams)s::text[]) AS stream
ON CONFLICT (bucket, follower, stream) DO UPDATE
SET changed = excluded.changed, account_key = excluded.account_key, moved_at = excluded.moved_at;

-- :name not_moved
-- Find the relays that have read nothing since some time.
SELECT follower FROM followers WHERE follower <> 'planner'
GROUP BY follower HAVING max(moved_at) < %(since)s;

-- :name drop_follower
-- Forget a follower.
DELETE FROM followers WHERE follower = %(follower)s;

-- :name lock_planning
-- Let one transaction at a time plan, remind, change a release, prune or begin an era.
SELECT FROM leases WHERE name = 'planning' FOR UPDATE;

-- :name read_by_all
-- Find up to which change of a stream all followers have read each bucket, `limit` changes from the
-- first. Without followers, all was read up to the oldest transaction still running.
SELECT buckets.bucket, upto.changed::text AS transaction, upto.account_key
FROM buckets
LEFT JOIN LATERAL (
    SELECT followers.changed, followers.account_key FROM followers
    WHERE followers.bucket = buckets.bucket AND followers.stream = %(stream)s
    ORDER BY followers.changed, followers.account_key LIMIT 1
) AS slowest ON true
CROSS JOIN LATERAL (
    SELECT old.changed, old.account_key FROM (
        SELECT changes.changed, changes.account_key FROM changes
        WHERE changes.bucket = buckets.bucket AND changes.stream = %(stream)s
          AND (changes.changed, changes.account_key) <= (
              coalesce(slowest.changed, pg_snapshot_xmin(pg_current_snapshot())),
              coalesce(slowest.account_key, 0))
        ORDER BY changes.changed, changes.account_key LIMIT %(limit)s
    ) AS old ORDER BY old.changed DESC, old.account_key DESC LIMIT 1
) AS upto;

-- :name prune
-- Delete the changes of a stream up to one in each bucket.
DELETE FROM changes
USING unnest(%(buckets)s::smallint[], %(transactions)s::text[], %(account_keys)s::bigint[])
      AS upto (bucket, transaction, account_key)
WHERE changes.bucket = upto.bucket AND changes.stream = %(stream)s
  AND (changes.changed, changes.account_key) <= (upto.transaction::xid8, upto.account_key);
