-- :name snapshot
-- Read everything as it is at one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- :name cursors
-- Read how far a topic came along what it follows.
SELECT name, changed::text AS changed, account_key FROM cursors WHERE name = ANY(%(names)s);

-- :name changes
-- Take the accounts of a table's next changes, up to the oldest transaction still running.
SELECT changed::text AS changed, account_key FROM {table}
WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s)
  AND {table}.changed < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY {table}.changed, account_key FETCH FIRST %(limit)s ROWS WITH TIES;

-- :name any_changes
-- Tell whether anything in a table changed since.
SELECT EXISTS (SELECT FROM {table}
               WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s));

-- :name follow
-- Note which change was published last.
UPDATE cursors SET changed = %(changed)s::xid8, account_key = %(account_key)s
WHERE name = %(name)s;
