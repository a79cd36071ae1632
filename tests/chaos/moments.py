"""Moments in a dispatcher's transactions: a process that reaches a watched one is blocked there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

MOMENTS: Final = (
    "in the claim", "at the claim's commit", "after the claim",
    "in the hand-over", "at the hand-over's commit", "after the hand-over",
    "in the record", "at the record's commit", "after the record",
    "in the recovery", "at the recovery's commit", "after the recovery",
)  # fmt: skip
_NAME: Final = "chaos"
_STEP: Final = 0.002

# A watcher holds the lock of its moment, so unwatched moments block nobody. A transaction that
# waits in a deferred trigger is committing: it completes even if its client is killed.
_TRIGGERS: Final = """
CREATE FUNCTION chaos_moment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('chaos'), TG_ARGV[0]::integer);
    RETURN NULL;
END $$;
CREATE FUNCTION chaos_passed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('chaos'), TG_ARGV[0]::integer);
    PERFORM pg_notify('chaos', (TG_ARGV[0]::integer + 1)::text);
    RETURN NULL;
END $$;
"""
_TRIGGER: Final = """
CREATE TRIGGER chaos_{0} AFTER {1} ON attempts
    FOR EACH ROW WHEN ({2}) EXECUTE FUNCTION chaos_moment({0});
CREATE CONSTRAINT TRIGGER chaos_{3} AFTER {1} ON attempts DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN ({2}) EXECUTE FUNCTION chaos_passed({3});
"""
_OCCASIONS: Final = (
    ("INSERT", "true"),
    ("UPDATE", "NEW.ended_at IS NULL"),
    ("UPDATE", "NEW.ended_at IS NOT NULL AND NEW.outcome <> 'abandoned'"),
    ("UPDATE", "NEW.outcome = 'abandoned'"),
)


def install(conninfo: str) -> None:
    """Create the triggers that block a process at a watched moment."""
    with psycopg.connect(conninfo) as connection:
        connection.execute(_TRIGGERS)
        for place, (event, condition) in enumerate(_OCCASIONS):
            made = _TRIGGER.format(3 * place, event, condition, 3 * place + 1)
            connection.execute(made.encode())


class Watch:
    """The process that reaches a watched moment."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], number: int) -> None:
        self._connection = connection
        self._number = number

    def wait(self, seconds: float) -> bool:
        """Wait until a process is blocked there, or has just passed; False if none came."""
        if MOMENTS[self._number].startswith("after"):
            passed = self._connection.notifies(timeout=seconds)
            return any(int(one.payload) == self._number for one in passed)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            waiting = self._connection.execute(
                "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                " AND objid = %s AND classid = hashtext('chaos')::oid AND objsubid = 2",
                (self._number,),
            )
            if waiting.fetchone() is not None:
                return True
            time.sleep(_STEP)
        return False


@contextmanager
def watched(conninfo: str, moment: str) -> Iterator[Watch]:
    """Watch a moment; a process blocked there continues after the block."""
    number = MOMENTS.index(moment)
    with psycopg.connect(conninfo, autocommit=True, application_name=_NAME) as connection:
        if moment.startswith("after"):
            connection.execute("LISTEN chaos")
        else:
            connection.execute("SELECT pg_advisory_lock(hashtext('chaos'), %s)", (number,))
        yield Watch(connection, number)


def cut_off(conninfo: str) -> None:
    """Cut the connections of all dispatchers, so that they lose their leases as well."""
    with psycopg.connect(conninfo, autocommit=True, application_name=_NAME) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
            " AND (application_name LIKE 'reconsent dispatcher%' OR application_name = '')"
        )
