-- Citus allows functions of columns in what reads these rows, and not in what writes them.

-- :name session
-- Tell which session this is, so that others can see when it has ended.
SELECT system_identifier AS node, pid, backend_start
FROM pg_control_system(), pg_stat_activity WHERE pid = pg_backend_pid();

-- :name sweep
-- Delete leases whose time has passed, such as those of processes that died.
DELETE FROM leases WHERE until < now();

-- :name look
-- Read who has a lease, and whether it has ended.
SELECT holder, until, is_live(until, node, pid, backend_start) AS live
FROM leases WHERE name = %(name)s;

-- :name take
-- Take a lease that nobody has.
INSERT INTO leases (name, holder, node, pid, backend_start, until)
VALUES (%(name)s, %(holder)s, %(node)s, %(pid)s, %(backend_start)s,
        now() + %(lasting)s::interval)
ON CONFLICT (name) DO NOTHING;

-- :name take_over
-- Take a lease that has ended or is one's own, if it is still as it was when it was looked at.
UPDATE leases SET holder = %(holder)s, node = %(node)s, pid = %(pid)s,
                  backend_start = %(backend_start)s, until = now() + %(lasting)s::interval
WHERE name = %(name)s AND holder = %(seen_holder)s AND until = %(seen_until)s;

-- :name held
-- List the leases that a holder still has, and tell of each whether it lasts for a while.
SELECT name, until > now() + 0.75 * %(lasting)s::interval AS lasts
FROM leases WHERE holder = %(holder)s AND until > now();

-- :name extend
-- Extend the leases of a holder; one that has ended is extended too, unless another has taken it.
UPDATE leases SET until = now() + %(lasting)s::interval
WHERE holder = %(holder)s RETURNING name;

-- :name is_held
-- Tell whether a holder has a lease now.
SELECT is_live(until, node, pid, backend_start) FROM leases WHERE name = %(name)s AND holder = %(holder)s;

-- :name live
-- List the leases whose names begin with some words and that anybody holds.
SELECT name FROM leases WHERE starts_with(name, %(words)s) AND is_live(until, node, pid, backend_start);

-- :name release
-- Give up one lease.
DELETE FROM leases WHERE name = %(name)s AND holder = %(holder)s;

-- :name release_all
-- Give up all leases of a holder.
DELETE FROM leases WHERE holder = %(holder)s;
