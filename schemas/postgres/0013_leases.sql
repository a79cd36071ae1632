-- Rights that last longer than a transaction, and one row that transactions lock. They are rows
-- because advisory locks and pg_locks are those of the one node that a session is connected to.
--
--   sender NUMBER                    a dispatcher that is alive: attempts.lease names it
--   relay TOPIC                      the one relay of a topic
--   bus GROUP member ID              a consumer of the embedded bus
--   bus GROUP TOPIC PARTITION        the one consumer of a partition
--   planning                         belongs to nobody; locked until a transaction ends
CREATE TABLE leases (
    name          text PRIMARY KEY,
    holder        uuid,
    -- The holder's session: the cluster that it is connected to, its process there and its start.
    node          bigint,
    pid           integer,
    backend_start timestamptz,
    until         timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE leases IS 'local: few rows without an account, which all nodes read in one place';

INSERT INTO leases (name, until) VALUES ('planning', 'infinity');

-- A lease ends with its time or with its session. Only the node that the session is connected to
-- can tell whether it still runs, and only roles that may see its start. Elsewhere the time counts.
CREATE FUNCTION is_live(until timestamptz, node bigint, pid integer, backend_start timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $$
    -- Otherwise pg_stat_activity would show the sessions of when the transaction first read it.
    SELECT pg_stat_clear_snapshot();
    SELECT is_live.until > now() AND (
        is_live.node IS DISTINCT FROM (SELECT system_identifier FROM pg_control_system())
        OR EXISTS (
            SELECT FROM pg_stat_activity AS session
            WHERE session.pid = is_live.pid
              AND coalesce(session.backend_start = is_live.backend_start, true)))
$$;
