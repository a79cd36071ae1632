-- :name snapshot
-- Read everything as it is at one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- :name cursors
-- Read how far a topic came along what it follows.
SELECT name, changed::text, account_key FROM cursors WHERE name = ANY(%(names)s);

-- :name accounts
-- Take the next accounts that changed, up to the oldest transaction still running.
SELECT account_key, changed::text FROM accounts
WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s)
  AND changed < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY changed, account_key FETCH FIRST %(limit)s ROWS WITH TIES;

-- :name notices
-- Take the accounts of the next notices that changed, up to the oldest transaction still running.
SELECT account_key, changed::text FROM notices
WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s)
  AND changed < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY changed, account_key FETCH FIRST %(limit)s ROWS WITH TIES;

-- :name consents
-- Take the accounts of the next ledger entries, up to the oldest transaction still running.
SELECT account_key, changed::text FROM consents
WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s)
  AND changed < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY changed, account_key FETCH FIRST %(limit)s ROWS WITH TIES;

-- :name unsubscribes
-- Take the accounts of the next who left, up to the oldest transaction still running.
SELECT account_key, changed::text FROM unsubscribes
WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s)
  AND changed < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY changed, account_key FETCH FIRST %(limit)s ROWS WITH TIES;

-- :name any_accounts
-- Tell whether any account changed since.
SELECT EXISTS (SELECT FROM accounts
               WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s));

-- :name any_notices
-- Tell whether any notice changed since.
SELECT EXISTS (SELECT FROM notices
               WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s));

-- :name any_consents
-- Tell whether the ledger grew since.
SELECT EXISTS (SELECT FROM consents
               WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s));

-- :name any_unsubscribes
-- Tell whether anybody left since.
SELECT EXISTS (SELECT FROM unsubscribes
               WHERE (changed, account_key) > (%(changed)s::xid8, %(account_key)s));

-- :name follow
-- Note which change was published last.
UPDATE cursors SET changed = %(changed)s::xid8, account_key = %(account_key)s
WHERE name = %(name)s;
