"""Recording what was collected and erased. RULES 27, 28."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconsent.facts.accounts import AccountName, Counts, erase_from_bus, lock_accounts
from reconsent.facts.decisions import refresh_holdings
from reconsent.queries import named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconsent.adapters.postgres import Connection
    from reconsent.domain.event import CollectionEvent
    from reconsent.facts.accounts import Known
    from reconsent.facts.versions import Policies

SQL = named("collections")


def record_collections(
    connection: Connection, events: Sequence[CollectionEvent], policies: Policies
) -> Counts:
    """Record collections and erasures; their order does not matter, their times do."""
    known = lock_accounts(connection, ((event.property, event.account) for event in events))
    erased = _columns([event for event in events if event.erased], known)
    added = _columns([event for event in events if not event.erased], known)
    touched = [key for (key,) in connection.execute(SQL["erase"], erased)] if erased["keys"] else []
    if touched:
        connection.execute(SQL["drop_erased"], {"keys": touched})
    if added["keys"]:
        touched += [key for (key,) in connection.execute(SQL["add"], added)]
    refresh_holdings(connection, touched, policies)
    late = {
        name: account.profile.deleted_at
        for name, account in known.items()
        if account.profile.deleted_at
    }
    erase_from_bus(
        connection,
        {
            name: late[name]
            for name, event in ((AccountName(e.property, e.account), e) for e in events)
            if name in late and event.collected_at <= late[name]
        },
    )
    return Counts(new=len(touched), unchanged=len(events) - len(touched))


def _columns(
    events: Sequence[CollectionEvent], known: Mapping[AccountName, Known]
) -> dict[str, list[Any]]:
    return {
        "keys": [known[AccountName(event.property, event.account)].key for event in events],
        "categories": [event.data_category for event in events],
        "versions": [event.collected_under for event in events],
        "times": [event.collected_at for event in events],
        "sources": [event.source for event in events],
    }
