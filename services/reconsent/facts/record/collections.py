"""Recording what was collected and erased. RULES 27, 28."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg.errors import UniqueViolation

from reconsent.domain.account import AccountName
from reconsent.domain.event_rows import collection_rows
from reconsent.domain.recorded import Counts
from reconsent.facts.record.bus_messages import erase_messages
from reconsent.facts.record.clocks import any_stated, stated_of
from reconsent.facts.record.standings import Added, add_to_holdings, refresh_holdings
from reconsent.store.copying import copy_text
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from reconsent.domain.event import CollectionEvent
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("record/collections")


class _Owners(NamedTuple):
    """The keys of a bucket's accounts as text, None if one of them is unknown."""

    keys: str | None
    bucket: int
    erased: bool


class _Span(NamedTuple):
    """Between which times staged events count, and how many count before they say."""

    first: datetime
    last: datetime
    early: int


class _Deleted(NamedTuple):
    """An account that was ever deleted, and when last."""

    account_key: int
    deleted_at: datetime


class _Late(NamedTuple):
    """An account with an event dated up to its deletion."""

    property: str
    account: str
    deleted_at: datetime


def record_collections(
    connection: Connection,
    events: Sequence[CollectionEvent],
    policies: Policies,
    keyed_hash: Callable[[str], bytes],
) -> Counts:
    """Record collections and erasures, in any order; only their times matter."""
    rows = collection_rows(list(enumerate(events)))
    return record_collection_rows(connection, rows, policies, keyed_hash)


def record_collection_rows(
    connection: Connection, rows: bytes, policies: Policies, keyed_hash: Callable[[str], bytes]
) -> Counts:
    """Record collections and erasures that are written as rows."""
    owners = _owners(connection, rows)
    deleted = _lock(connection, owners)
    erased: list[int] = []
    if any(owner.erased for owner in owners):
        erased = values(connection, SQL["erase"])
    added = _add(connection) if owners else []
    touched = [*erased, *(_delete_later_copies(connection) if added or erased else [])]
    if touched or deleted or (added and values(connection, SQL["any_erased"])):
        refresh_holdings(connection, [*touched, *(key for key, _, _ in added)], policies)
    else:
        add_to_holdings(connection, added, policies)
    if deleted:
        late = all_rows(connection, _Late, SQL["late"])
        until = {AccountName(one.property, one.account): one.deleted_at for one in late}
        erase_messages(connection, until, keyed_hash)
    new = len(erased) + len(added)
    return Counts(new=new, unchanged=rows.count(b"\n") - new)


def _add(connection: Connection) -> list[Added]:
    try:
        with connection.transaction():
            return connection.execute(SQL["add"]).fetchall()
    except UniqueViolation:
        # Collected again at the same time, by an account that was ever deleted or just now.
        return connection.execute(SQL["add_unknown"]).fetchall()


def _delete_later_copies(connection: Connection) -> list[int]:
    """Keep the earliest of the copies of each staged event; return the accounts that had others."""
    [span] = all_rows(connection, _Span, SQL["staged_span"])
    # Read once the accounts are locked: another may have recorded a copy since these were dated.
    if not span.early and not any_stated(connection, span.first, span.last):
        return []
    times = {"stated": stated_of(connection, values(connection, SQL["staged_times"]))}
    collections = values(connection, SQL["delete_later_copies"], times)
    return [*collections, *values(connection, SQL["delete_later_erasures"], times)]


def _owners(connection: Connection, rows: bytes) -> list[_Owners]:
    """Stage events; find the accounts of those that are not known, adding stubs."""
    connection.execute(SQL["make_incoming"])
    connection.execute(SQL["clear_incoming"])
    connection.execute(SQL["make_owned"])
    connection.execute(SQL["clear_owned"])
    copy_text(connection, SQL["copy_incoming"], rows)
    connection.execute(SQL["find"])
    owners = all_rows(connection, _Owners, SQL["owners"])
    if any(owner.keys is None for owner in owners):
        connection.execute(SQL["ensure"])
        connection.execute(SQL["clear_owned"])
        connection.execute(SQL["find"])
        owners = all_rows(connection, _Owners, SQL["owners"])
    return owners


def _lock(connection: Connection, owners: Sequence[_Owners]) -> list[_Deleted]:
    """Lock the accounts until the transaction ends; return those that were ever deleted."""
    deleted = [
        row
        for owner in owners
        for row in all_rows(
            connection, _Deleted, SQL["lock"], {"bucket": owner.bucket, "keys": owner.keys}
        )
    ]
    if deleted:
        keys, times = zip(*deleted, strict=True)
        connection.execute(SQL["mark_deleted"], {"keys": list(keys), "times": list(times)})
    return deleted
