"""Restores: how the program notices one, and what it does about it.

A database that runs in another cluster than before, or on another timeline of the same, or whose
tables were made again, was restored from a backup, promoted from a replica or upgraded. Transaction
ids of the log may then belong to another cluster, and time may have been lost: mails may have been
sent, and messages published, of which nothing is known here. So the log is read again from its
beginning, every topic is published again in full, and no mail leaves until a person lets sending go
on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.facts.changes import lock_planning
from reconsent.store.named import named
from reconsent.store.rows import one_row, values
from reconsent.telemetry.log_events import DATABASE_RESTORED

if TYPE_CHECKING:
    from datetime import datetime

    from reconsent.domain.mail import Provider
    from reconsent.store.postgres import Connection

SQL = named("restores")


class _Cluster(NamedTuple):
    """The cluster that was last seen; `same` tells whether the database still runs there."""

    era: int
    same: bool


_NOWHERE: Final = _Cluster(era=-1, same=False)


def current_era(connection: Connection) -> int:
    """Return the number of the present era; a restore that is new is recorded first.

    Call it before anything that depends on the log, in a transaction that may write.
    """
    seen = _last_seen(connection)
    return seen.era if seen.same else _record_restore(connection, seen)


def recorded_era(connection: Connection) -> int:
    """Return the number of the last era that was recorded, also in a transaction that reads."""
    return _last_seen(connection).era


def record_lost_time(connection: Connection) -> None:
    """Record that the database was set back to an earlier time, as its bus shows."""
    current_era(connection)
    if held_since(connection) is None:
        _record_restore(connection, _last_seen(connection))


def _last_seen(connection: Connection) -> _Cluster:
    return one_row(connection, _Cluster, SQL["last_seen"]) or _NOWHERE


def _record_restore(connection: Connection, seen: _Cluster) -> int:
    """Begin an era after the one that was seen, and return it.

    Planning is locked: of several that notice the same restore one records it, and a planner at
    work would set its cursor past the changes that are to be read again.
    """
    lock_planning(connection)
    now = _last_seen(connection)
    if now.era != seen.era:
        return now.era
    [era] = values(connection, SQL["record"], {"after": seen.era})
    connection.execute(SQL["reread_changes"])
    connection.execute(SQL["follow_from_the_beginning"])
    connection.execute(SQL["forget_relays"])
    DATABASE_RESTORED.log()
    return int(era)


def held_since(connection: Connection) -> datetime | None:
    """Return since when sending waits for a person after a restore; None if it does not."""
    found = values(connection, SQL["held_since"])
    return found[0] if found else None


def sending_held(connection: Connection, provider: Provider) -> bool:
    """Tell whether no mail may leave; a restore that is new is recorded first.

    To a provider that delivers repeated messages once, mails of the lost time do no harm.
    """
    current_era(connection)
    return not provider.repeats_safely and held_since(connection) is not None


def resume_sending(connection: Connection) -> bool:
    """Let sending go on after a restore; False if it was not held."""
    return connection.execute(SQL["resume_sending"]).rowcount > 0
