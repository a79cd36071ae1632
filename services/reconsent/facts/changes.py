"""The log of changes, and how far each follower came in it.

A statement that changes something that others follow also appends (transaction, account) to a
stream, in the account's bucket. A follower reads each bucket of a stream in the order of
transactions, up to the oldest one that is still running, so it misses none that commits late.
Entries behind the slowest follower are deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from reconsent.domain.bucket import BUCKETS
from reconsent.domain.errors import StoppedError
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values
from reconsent.telemetry.log_events import FOLLOWER_DROPPED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from reconsent.store.postgres import Connection

SQL = named("changes")
Stream = Literal["accounts", "notices", "consents", "unsubscribes"]
PLANNER: Final = "planner"
"""The planner's name as a follower, of the accounts alone."""
_STREAMS: Final[tuple[Stream, ...]] = ("accounts", "notices", "consents", "unsubscribes")

# Changes in one bucket.
_FAR: Final = 1000


class Change(NamedTuple):
    """A transaction, and an account that it changed, in the account's bucket."""

    bucket: int
    transaction: str
    account_key: int


def followed(connection: Connection, follower: str) -> list[Stream]:
    """Return the streams that a follower follows; none if it has not begun."""
    return values(connection, SQL["followed"], {"follower": follower})


def changes_after(
    connection: Connection, follower: str, stream: Stream, limit: int
) -> list[Change]:
    """Return the next changes of a stream in order, bucket by bucket, for a follower.

    About `limit` of them at most, the same share of each bucket. An account may occur several
    times.
    """
    of_each = -(-limit // BUCKETS)
    wanted = {"follower": follower, "stream": stream, "limit": of_each}
    return all_rows(connection, Change, SQL["changes_after"], wanted)


def any_changes(connection: Connection, follower: str) -> bool:
    """Tell whether anything changed that a follower has not seen, also in open transactions."""
    return _is_behind(connection, follower, by=0)


def _is_behind(connection: Connection, follower: str, *, by: int) -> bool:
    return values(connection, SQL["is_behind"], {"follower": follower, "by": by}) == [True]


def follow_to(
    connection: Connection, follower: str, stream: Stream, seen: Sequence[Change]
) -> None:
    """Record that a follower has seen these changes, which are in order."""
    last = {change.bucket: change for change in seen}.values()
    wanted = {"follower": follower, "stream": stream}
    connection.execute(SQL["follow_to"], wanted | _columns(last))


def begin_following(connection: Connection, follower: str, streams: Iterable[Stream]) -> None:
    """Follow streams from now on.

    Later changes are read from the log. Transactions that have ended by now are not, so the caller
    must read the present state of all accounts after this transaction.
    """
    oldest = connection.execute(SQL["oldest"]).fetchall()
    columns = {
        "follower": follower,
        "streams": list(streams),
        "buckets": [bucket for bucket, _ in oldest],
        "transactions": [transaction for _, transaction in oldest],
    }
    connection.execute(SQL["begin_following"], columns)


def lock_planning(connection: Connection) -> None:
    """Wait until no other transaction plans, reminds, changes a release, prunes or begins an era.

    Others wait for this one. Sequences of notices are given by one transaction at a time, and the
    planner's cursor is moved by one.
    """
    if not connection.execute(SQL["lock_planning"]).rowcount:
        raise StoppedError("database: the table leases has lost its row planning; insert it again")


def drop_left_behind(connection: Connection, since: datetime) -> None:
    """Forget relays that have read nothing since then, and for which the log has grown long.

    Otherwise the log would grow for as long as a relay is switched off. A relay that starts again
    begins with all accounts, which is less to read by then.
    """
    for follower in values(connection, SQL["not_moved"], {"since": since}):
        if _is_behind(connection, follower, by=_FAR):
            connection.execute(SQL["drop_follower"], {"follower": follower})
            FOLLOWER_DROPPED.log(follower=follower)


def prune(connection: Connection, limit: int) -> bool:
    """Delete entries that all followers have read, about `limit` at a time; False if none."""
    pruned = [_prune(connection, stream, -(-limit // BUCKETS)) for stream in _STREAMS]
    return any(pruned)


def _prune(connection: Connection, stream: Stream, limit: int) -> bool:
    read = all_rows(connection, Change, SQL["read_by_all"], {"stream": stream, "limit": limit})
    if read:
        connection.execute(SQL["prune"], {"stream": stream} | _columns(read))
    return bool(read)


def _columns(changes: Collection[Change]) -> dict[str, list[Any]]:
    """Return changes as the queries take them."""
    return {
        "buckets": [change.bucket for change in changes],
        "transactions": [change.transaction for change in changes],
        "account_keys": [change.account_key for change in changes],
    }
