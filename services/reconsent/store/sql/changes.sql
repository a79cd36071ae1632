-- :name cursors
-- Read how far a follower came in each stream.
SELECT stream, changed::text AS transaction, account_key FROM followers
WHERE follower = %(follower)s;

-- :name changes_after
-- Read the next changes of a stream, up to the oldest transaction still running. The order is that
-- of the column: the output as text would sort 1000 before 999.
SELECT changed::text AS transaction, account_key FROM changes
WHERE stream = %(stream)s
  AND (changed, account_key) > (%(transaction)s::xid8, %(account_key)s)
  AND changed < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY changed, account_key LIMIT %(limit)s;

-- :name any_changes
-- Tell whether a stream has any change after a cursor. The order makes it use the index; in EXISTS
-- it would have no effect.
SELECT count(*) > 0 FROM (
    SELECT FROM changes
    WHERE stream = %(stream)s
      AND (changed, account_key) > (%(transaction)s::xid8, %(account_key)s)
    ORDER BY changed, account_key LIMIT 1) AS next;

-- :name follow_to
-- Record how far a follower came in a stream.
UPDATE followers SET changed = %(transaction)s::xid8, account_key = %(account_key)s
WHERE follower = %(follower)s AND stream = %(stream)s;

-- :name begin_following
-- Follow streams from the oldest transaction that is still running.
INSERT INTO followers (follower, stream, changed, account_key)
SELECT %(follower)s, stream, pg_snapshot_xmin(pg_current_snapshot()), 0
FROM unnest(%(streams)s::text[]) AS stream
ON CONFLICT (follower, stream) DO UPDATE
SET changed = excluded.changed, account_key = excluded.account_key;

-- :name lock_planning
-- Let one transaction at a time plan, remind, change a release, prune or begin an era.
SELECT FROM leases WHERE name = 'planning' FOR UPDATE;

-- :name slowest
-- Find how far the slowest follower of a stream came; without followers, everything was read.
SELECT changed::text AS transaction, account_key
FROM (
    SELECT changed, account_key FROM followers WHERE stream = %(stream)s
    UNION ALL
    SELECT pg_snapshot_xmin(pg_current_snapshot()), 0
) AS followed
ORDER BY changed, account_key LIMIT 1;

-- :name prune
-- Delete changes of a stream up to a cursor.
DELETE FROM changes WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM changes
    WHERE stream = %(stream)s
      AND (changed, account_key) <= (%(transaction)s::xid8, %(account_key)s)
    ORDER BY changed, account_key LIMIT %(limit)s));
