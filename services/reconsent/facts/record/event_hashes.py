"""Hashing the events of choices in a database of an earlier release.

That one kept their sources and ids. It is done before anything else works: until then a repeated
choice would not be known. RULES 28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.domain.event_hash import hash_of_event, hash_of_own
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconsent.store.postgres import Connection, Database

SQL = named("record/event_hashes")
_SLICE: Final = 5000


class _Plain(NamedTuple):
    """A ledger entry whose event is not hashed yet."""

    account_key: int
    entry: int
    answer: str
    source: str
    event_id: str


def hash_events(database: Database, keyed_hash: Callable[[str], bytes]) -> None:
    """Hash the events of all choices that have none. Safe to interrupt, and to repeat."""
    while database.transaction(lambda connection: _hash_some(connection, keyed_hash)):
        pass


def _hash_some(connection: Connection, keyed_hash: Callable[[str], bytes]) -> bool:
    """Hash some events of one bucket; False if none is left."""
    for bucket in values(connection, SQL["bucket"]):
        found = all_rows(connection, _Plain, SQL["some"], {"bucket": bucket, "limit": _SLICE})
        connection.execute(SQL["write"], _columns(bucket, found, keyed_hash))
        return True
    return False


def _columns(
    bucket: int, found: Sequence[_Plain], keyed_hash: Callable[[str], bytes]
) -> dict[str, Any]:
    return {
        "bucket": bucket,
        "keys": [entry.account_key for entry in found],
        "entries": [entry.entry for entry in found],
        "hashes": [_event_hash(entry, keyed_hash) for entry in found],
    }


def _event_hash(entry: _Plain, keyed_hash: Callable[[str], bytes]) -> bytes:
    # Only the scheduler records silence, once for each notice.
    if entry.answer == "expired":
        return hash_of_own("expiry", entry.event_id)
    return hash_of_event(entry.source, entry.event_id, keyed_hash)
