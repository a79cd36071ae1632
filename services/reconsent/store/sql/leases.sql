-- :name session
-- Tell which session this is, so that others can see when it has ended.
SELECT system_identifier AS node, pid, backend_start
FROM pg_control_system(), pg_stat_activity WHERE pid = pg_backend_pid();

-- :name sweep
-- Delete leases whose time has passed, such as those of processes that died.
DELETE FROM leases WHERE until < clock_timestamp();

-- :name take
-- Take a lease that is free or one's own. One that is obviously taken is not even locked.
INSERT INTO leases (name, holder, node, pid, backend_start, until)
SELECT %(name)s, %(holder)s, %(node)s, %(pid)s, %(backend_start)s,
       clock_timestamp() + %(lasting)s::interval
WHERE NOT EXISTS (
    SELECT FROM leases WHERE name = %(name)s AND holder <> %(holder)s AND is_live(leases))
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder, node = excluded.node, pid = excluded.pid,
    backend_start = excluded.backend_start, until = excluded.until
WHERE leases.holder = excluded.holder OR NOT is_live(leases);

-- :name held
-- List the leases that a holder still has, and tell of each whether it lasts for a while.
SELECT name, until > clock_timestamp() + 0.75 * %(lasting)s::interval AS lasts
FROM leases WHERE holder = %(holder)s AND until > clock_timestamp();

-- :name extend
-- Extend the leases of a holder; one that has ended is extended too, unless another has taken it.
UPDATE leases SET until = clock_timestamp() + %(lasting)s::interval
WHERE holder = %(holder)s RETURNING name;

-- :name is_held
-- Tell whether a holder has a lease now.
SELECT is_live(leases) FROM leases WHERE name = %(name)s AND holder = %(holder)s;

-- :name live
-- List the leases whose names begin with some words and that anybody holds.
SELECT name FROM leases WHERE starts_with(name, %(words)s) AND is_live(leases);

-- :name release
-- Give up one lease.
DELETE FROM leases WHERE name = %(name)s AND holder = %(holder)s;

-- :name release_all
-- Give up all leases of a holder.
DELETE FROM leases WHERE holder = %(holder)s;
