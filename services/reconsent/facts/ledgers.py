"""Accounts' ledgers, with what is needed to derive their standing decisions. RULES 17, 18."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconsent.domain.consent import Answer, Entry, Ledger
from reconsent.domain.use import Held, Use
from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("ledgers")


class _Owner(NamedTuple):
    account_key: int
    property: str
    deleted_at: datetime | None


class _Row(NamedTuple):
    account_key: int
    answer: Answer
    data_category: str
    collected_under: str | None
    data_use: str
    recipient: str
    decided_at: datetime


class _First(NamedTuple):
    account_key: int
    data_category: str
    collected_under: str | None
    first_collected_at: datetime


def read_ledgers(
    connection: Connection, keys: Iterable[int], policies: Policies
) -> dict[int, Ledger]:
    """Read accounts' ledgers by key; accounts without ledger entries are left out."""
    wanted = {"keys": list(keys)}
    owners = all_rows(connection, _Owner, SQL["owners"], wanted)
    if not owners:
        return {}
    entries: dict[int, list[Entry]] = {}
    for row in all_rows(connection, _Row, SQL["entries"], wanted):
        use = Use(row.data_category, row.collected_under, row.data_use, row.recipient)
        entries.setdefault(row.account_key, []).append(Entry(row.answer, use, row.decided_at))
    first: dict[int, dict[Held, datetime]] = {}
    for pair in all_rows(connection, _First, SQL["first_collected"], wanted):
        held = Held(pair.data_category, pair.collected_under)
        first.setdefault(pair.account_key, {})[held] = pair.first_collected_at
    return {
        owner.account_key: Ledger(
            entries=entries[owner.account_key],
            first_collected=first.get(owner.account_key, {}),
            deleted_at=owner.deleted_at,
            controller=_controller(owner.property, policies),
        )
        for owner in owners
    }


def _controller(property_name: str, policies: Policies) -> Callable[[datetime], str | None]:
    policy = policies.of_property(property_name)
    return lambda at: policy.in_force(at).controller if policy else None
