"""Recording what was collected and erased. RULES 27, 28."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconsent.domain.account import AccountName
from reconsent.domain.recorded import Counts
from reconsent.facts.record.forgetting import erase_messages
from reconsent.facts.record.standings import refresh_holdings
from reconsent.store.copying import copy_in
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.event import CollectionEvent
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("record/collections")
_TOLD: Final = ("text", "text", "text", "text", "text", "bool", "timestamptz")


def record_collections(
    connection: Connection, events: Sequence[CollectionEvent], policies: Policies
) -> Counts:
    """Record collections and erasures; their order does not matter, their times do."""
    connection.execute(SQL["told"])
    rows = (
        (e.property, e.account, e.data_category, e.collected_under, e.source, e.erased,
         e.collected_at)
        for e in events
    )  # fmt: skip
    copy_in(connection, SQL["tell"], _TOLD, rows)
    known = connection.execute(SQL["drop_known"]).rowcount
    if known == len(events):
        return Counts(unchanged=known)
    connection.execute(SQL["ensure"])
    deleted = {AccountName(*name): at for *name, at in connection.execute(SQL["lock"])}
    touched = []
    if any(event.erased for event in events):
        touched = [key for (key,) in connection.execute(SQL["erase"])]
        connection.execute(SQL["drop_erased"], {"keys": touched})
    touched += [key for (key,) in connection.execute(SQL["add"])]
    connection.execute(SQL["forget_told"])
    refresh_holdings(connection, touched, policies)
    if deleted:
        told = {(AccountName(e.property, e.account), e.collected_at) for e in events}
        late = {name for name, at in told if name in deleted and at <= deleted[name]}
        erase_messages(connection, {name: deleted[name] for name in late})
    return Counts(new=len(touched), unchanged=len(events) - len(touched))
