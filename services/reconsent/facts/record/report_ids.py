"""Hashing the ids of providers' reports in a database of an earlier release. RULES 28.

That one kept them as they were, and some contain an address. It is done before anything else works:
until then a repeated report would count again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.domain.event_hash import hashed_id
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from typing import LiteralString
    from uuid import UUID

    from reconsent.store.postgres import Connection, Database

SQL = named("record/report_ids")
_SLICE: Final = 5000


class _OfNotice(NamedTuple):
    """A report about a notice whose id is not hashed yet."""

    account_key: int
    notice_id: UUID
    event: str
    occurred_at: datetime
    provider_id: str


class _OfMailbox(NamedTuple):
    """A report about a mailbox whose id is not hashed yet."""

    address_hash: bytes
    event: str
    occurred_at: datetime
    provider_id: str


class _Kind(NamedTuple):
    """The queries for one table."""

    row: type[_OfNotice | _OfMailbox]
    bucket: LiteralString
    some: LiteralString
    remove_repeated: LiteralString
    write: LiteralString


_KINDS: Final = (
    _Kind(
        _OfNotice, SQL["bucket_of_notices"], SQL["some_of_notices"], SQL["repeated_of_notices"],
        SQL["write_of_notices"],
    ),
    _Kind(
        _OfMailbox, SQL["bucket_of_mailboxes"], SQL["some_of_mailboxes"],
        SQL["repeated_of_mailboxes"], SQL["write_of_mailboxes"],
    ),
)  # fmt: skip


def hash_report_ids(database: Database, keyed_hash: Callable[[str], bytes]) -> None:
    """Hash the ids of all reports that have plain ones. Safe to interrupt, and to repeat."""
    for kind in _KINDS:
        while database.transaction(_hashing(kind, keyed_hash)):
            pass


def _hashing(kind: _Kind, keyed_hash: Callable[[str], bytes]) -> Callable[[Connection], bool]:
    return lambda connection: _hash_some(connection, kind, keyed_hash)


def _hash_some(connection: Connection, kind: _Kind, keyed_hash: Callable[[str], bytes]) -> bool:
    """Hash some ids of one bucket; False if none is left."""
    for bucket in values(connection, kind.bucket):
        found = all_rows(connection, kind.row, kind.some, {"bucket": bucket, "limit": _SLICE})
        columns = _columns(found, keyed_hash) | {"bucket": bucket}
        # A process of the earlier release may have recorded one again.
        connection.execute(kind.remove_repeated, columns)
        connection.execute(kind.write, columns)
        return True
    return False


def _columns(
    found: Sequence[_OfNotice | _OfMailbox], keyed_hash: Callable[[str], bytes]
) -> dict[str, Any]:
    names = found[0]._fields if found else ()
    columns: dict[str, Any] = {name: [getattr(one, name) for one in found] for name in names}
    return columns | {"hashed": [hashed_id(one.provider_id, keyed_hash) for one in found]}
