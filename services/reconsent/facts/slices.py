"""Going through accounts in the order of their keys, a slice at a time, in all buckets at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconsent.domain.bucket import BUCKETS
from reconsent.store.named import named
from reconsent.store.rows import values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.store.postgres import Connection

SQL = named("slices")


class Slice(NamedTuple):
    """The keys of some accounts, in order, and the key up to which there are no others."""

    keys: Sequence[int]
    upto: int


def next_range(connection: Connection, *, after: int, limit: int) -> int | None:
    """Return the key up to which the next `limit` accounts are; None after the last account."""
    [first] = values(connection, SQL["next_account"], {"after": after})
    if first is None:
        return None
    # Accounts are numbered without regard to their buckets: of BUCKETS keys, one is taken.
    return int(first - first % BUCKETS + limit * BUCKETS - 1)


def next_slice(
    connection: Connection, *, after: int, limit: int, properties: Sequence[str] | None = None
) -> Slice | None:
    """Return the next accounts of some properties, or of all; None after the last account.

    Looks at `limit` accounts at most, which may all be of other properties.
    """
    upto = next_range(connection, after=after, limit=limit)
    if upto is None:
        return None
    wanted = {"after": after, "upto": upto, "properties": properties}
    return Slice(sorted(values(connection, SQL["accounts_between"], wanted)), upto)
