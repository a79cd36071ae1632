"""The log of changes, and how far each follower came in it.

A statement that changes something that others follow also appends (transaction, account) to a
stream. A follower reads a stream in the order of transactions, up to the oldest one that is
still running, so it misses none that commits late. Entries behind the slowest follower are deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from reconsent.domain.errors import StoppedError
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconsent.store.postgres import Connection

SQL = named("changes")
Stream = Literal["accounts", "notices", "consents", "unsubscribes"]
PLANNER: Final = "planner"
"""The planner's name as a follower, of the accounts alone."""
_STREAMS: tuple[Stream, ...] = ("accounts", "notices", "consents", "unsubscribes")


class Cursor(NamedTuple):
    """A place in a stream: a transaction, and an account that it changed."""

    transaction: str
    account_key: int


class _Followed(NamedTuple):
    """How far a follower came in a stream."""

    stream: Stream
    transaction: str
    account_key: int


def cursors(connection: Connection, follower: str) -> dict[Stream, Cursor]:
    """Return how far a follower came; empty if it does not follow any stream yet."""
    rows = all_rows(connection, _Followed, SQL["cursors"], {"follower": follower})
    return {row.stream: Cursor(row.transaction, row.account_key) for row in rows}


def changes_after(
    connection: Connection, stream: Stream, cursor: Cursor, limit: int
) -> list[Cursor]:
    """Return the next changes in order. An account may occur several times."""
    wanted = cursor._asdict() | {"stream": stream, "limit": limit}
    return all_rows(connection, Cursor, SQL["changes_after"], wanted)


def any_changes(connection: Connection, cursors: Mapping[Stream, Cursor]) -> bool:
    """Tell whether anything changed after some cursors, also in transactions still running."""
    wanted = (cursor._asdict() | {"stream": stream} for stream, cursor in cursors.items())
    return any(values(connection, SQL["any_changes"], one)[0] for one in wanted)


def follow_to(connection: Connection, follower: str, stream: Stream, cursor: Cursor) -> None:
    """Record how far a follower came."""
    to = cursor._asdict() | {"follower": follower, "stream": stream}
    connection.execute(SQL["follow_to"], to)


def begin_following(connection: Connection, follower: str, streams: Iterable[Stream]) -> None:
    """Follow streams from now on.

    Later changes are read from the log. Transactions that have ended by now are not, so the caller
    must read the present state of all accounts after this transaction.
    """
    connection.execute(SQL["begin_following"], {"follower": follower, "streams": list(streams)})


def lock_planning(connection: Connection) -> None:
    """Wait until no other transaction plans, reminds, changes a release, prunes or begins an era.

    Others wait for this one. Sequences of notices are given by one transaction at a time, and the
    planner's cursor is moved by one.
    """
    if not connection.execute(SQL["lock_planning"]).rowcount:
        raise StoppedError("database: the table leases has lost its row planning; insert it again")


def prune(connection: Connection, limit: int) -> bool:
    """Delete up to `limit` entries of each stream that all followers have read; False if none."""
    pruned = 0
    for stream in _STREAMS:
        [slowest] = all_rows(connection, Cursor, SQL["slowest"], {"stream": stream})
        upto = slowest._asdict() | {"stream": stream, "limit": limit}
        pruned += connection.execute(SQL["prune"], upto).rowcount
    return pruned > 0
