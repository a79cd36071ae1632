"""Recording what was collected and erased. RULES 27, 28."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconsent.domain.account import AccountName
from reconsent.domain.bucket import by_bucket
from reconsent.domain.event_rows import collection_rows
from reconsent.domain.recorded import Counts
from reconsent.facts.record.forgetting import erase_messages
from reconsent.facts.record.standings import Added, add_to_holdings, refresh_holdings
from reconsent.store.copying import copy_text
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconsent.domain.event import CollectionEvent
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("record/collections")


class _Deleted(NamedTuple):
    """An account that was ever deleted, and when last."""

    property: str
    account: str
    deleted_at: datetime


def record_collections(
    connection: Connection, events: Sequence[CollectionEvent], policies: Policies
) -> Counts:
    """Record collections and erasures, in any order; only their times matter."""
    return record_collection_rows(connection, collection_rows(enumerate(events)), policies)


def record_collection_rows(connection: Connection, rows: bytes, policies: Policies) -> Counts:
    """Record collections and erasures that are written as rows."""
    events = rows.count(b"\n")
    connection.execute(SQL["make_incoming"])
    connection.execute(SQL["clear_incoming"])
    copy_text(connection, SQL["copy_incoming"], rows)
    known = connection.execute(SQL["drop_known"]).rowcount
    if known == events:
        return Counts(unchanged=known)
    connection.execute(SQL["ensure"])
    deleted = {
        AccountName(row.property, row.account): row.deleted_at
        for bucket, keys in by_bucket(values(connection, SQL["find"]))
        for row in all_rows(connection, _Deleted, SQL["lock"], {"bucket": bucket, "keys": keys})
    }
    touched = values(connection, SQL["erase"])
    if touched:
        connection.execute(SQL["drop_erased"], {"keys": touched})
    added = all_rows(connection, Added, SQL["add"])
    if touched or deleted:
        refresh_holdings(connection, [*touched, *(row.account_key for row in added)], policies)
    else:
        add_to_holdings(connection, added, policies)
    if deleted:
        late = all_rows(
            connection,
            AccountName,
            SQL["late"],
            {
                "properties": [name.property for name in deleted],
                "accounts": [name.account for name in deleted],
                "times": list(deleted.values()),
            },
        )
        erase_messages(connection, {name: deleted[name] for name in late})
    new = len(touched) + len(added)
    return Counts(new=new, unchanged=events - new)
