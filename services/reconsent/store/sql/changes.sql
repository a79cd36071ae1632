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

-- :name any_changes
-- Tell whether anything changed that a follower has not seen, also in transactions still running.
SELECT EXISTS (
    SELECT FROM followers
    CROSS JOIN LATERAL (
        SELECT FROM changes
        WHERE changes.bucket = followers.bucket AND changes.stream = followers.stream
          AND (changes.changed, changes.account_key) > (followers.changed, followers.account_key)
        ORDER BY changes.changed, changes.account_key LIMIT 1
    ) AS next
    WHERE follower = %(follower)s);

-- :name follow_to
-- Record how far a follower came in some buckets of a stream.
UPDATE followers SET changed = seen.transaction::xid8, account_key = seen.account_key
FROM unnest(%(buckets)s::smallint[], %(transactions)s::text[], %(account_keys)s::bigint[])
     AS seen (bucket, transaction, account_key)
WHERE followers.bucket = seen.bucket
  AND follower = %(follower)s AND stream = %(stream)s;

-- :name begin_following
-- Follow streams from the oldest transaction that is still running.
INSERT INTO followers (bucket, follower, stream, changed, account_key)
SELECT bucket, %(follower)s, stream, pg_snapshot_xmin(pg_current_snapshot()), 0
FROM buckets CROSS JOIN unnest(%(streams)s::text[]) AS stream
ON CONFLICT (bucket, follower, stream) DO UPDATE
SET changed = excluded.changed, account_key = excluded.account_key;

-- :name lock_planning
-- Let one transaction at a time plan, remind, change a release, prune or begin an era.
SELECT FROM leases WHERE name = 'planning' FOR UPDATE;

-- :name prune
-- Delete changes that all followers have read, up to `limit` of each stream in each bucket. Without
-- followers, all was read.
DELETE FROM changes USING (
    SELECT buckets.bucket, streams.stream, upto.changed, upto.account_key
    FROM buckets
    CROSS JOIN unnest(%(streams)s::text[]) AS streams (stream)
    CROSS JOIN LATERAL (
        SELECT followed.changed, followed.account_key FROM (
            SELECT followers.changed, followers.account_key FROM followers
            WHERE followers.bucket = buckets.bucket AND followers.stream = streams.stream
            UNION ALL
            SELECT pg_snapshot_xmin(pg_current_snapshot()), 0
        ) AS followed ORDER BY followed.changed, followed.account_key LIMIT 1
    ) AS slowest
    CROSS JOIN LATERAL (
        SELECT old.changed, old.account_key FROM (
            SELECT changes.changed, changes.account_key FROM changes
            WHERE changes.bucket = buckets.bucket AND changes.stream = streams.stream
              AND (changes.changed, changes.account_key) <= (slowest.changed, slowest.account_key)
            ORDER BY changes.changed, changes.account_key LIMIT %(limit)s
        ) AS old ORDER BY old.changed DESC, old.account_key DESC LIMIT 1
    ) AS upto
) AS pruned
WHERE changes.bucket = pruned.bucket AND changes.stream = pruned.stream
  AND (changes.changed, changes.account_key) <= (pruned.changed, pruned.account_key);
