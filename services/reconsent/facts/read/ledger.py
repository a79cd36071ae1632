"""Accounts' ledger entries for output, with what became of each. RULES 17, 18."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reconsent.domain.consent import event_states
from reconsent.domain.times import rfc3339
from reconsent.domain.use import ANY
from reconsent.facts.ledgers import read_ledgers
from reconsent.store.named import named
from reconsent.store.rows import all_rows, one_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from reconsent.domain.consent import Ledger
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("read/ledger")


class _Key(NamedTuple):
    account_key: int


class _Entry(NamedTuple):
    """How a ledger entry came about."""

    account_key: int
    entry: int
    policy_version: str | None
    channel: str | None
    notice: str | None
    text_hash: str | None
    recorded_at: datetime


def account_ledger(
    connection: Connection, policies: Policies, property_name: str, account: str
) -> list[dict[str, Any]] | None:
    """Return the ledger entries of an account, oldest first; None if there is no such account."""
    name = {"property": property_name, "account": account}
    row = one_row(connection, _Key, SQL["account"], name)
    if row is None:
        return None
    found = read_ledgers(connection, [row.account_key], policies)
    return ledger_json(connection, row.account_key, found[row.account_key]) if found else []


def ledger_json(connection: Connection, account_key: int, ledger: Ledger) -> list[dict[str, Any]]:
    """Return an account's ledger entries, oldest first, with what became of each."""
    return [entry for _, entry in entries(connection, {account_key: ledger})[account_key]]


def entries(
    connection: Connection, ledgers: Mapping[int, Ledger]
) -> dict[int, list[tuple[int, dict[str, Any]]]]:
    """Return the ledger entries of accounts with their numbers, oldest first, by account."""
    rows: dict[int, list[_Entry]] = {key: [] for key in ledgers}
    for row in all_rows(connection, _Entry, SQL["ledger"], {"keys": list(ledgers)}):
        rows[row.account_key].append(row)
    return {key: _entries(rows[key], ledger) for key, ledger in ledgers.items()}


def _entries(rows: Sequence[_Entry], ledger: Ledger) -> list[tuple[int, dict[str, Any]]]:
    states = event_states(ledger)
    found: list[tuple[datetime, int, dict[str, Any]]] = []
    # Entries added since the ledger was read are at the end, and are left out.
    for row, entry, state in zip(rows, ledger.entries, states, strict=False):
        recipient = entry.use.recipient
        if recipient == ANY and entry.answer == "allow":
            # An agreement without a recipient is with the controller of its time.
            recipient = ledger.controller(entry.decided_at) or ANY
        shown = {
            "event_state": state.value,
            "data_category": entry.use.data_category,
            "collected_under": entry.use.collected_under,
            "data_use": entry.use.data_use,
            "recipient": recipient,
            "policy_version": row.policy_version,
            "channel": row.channel,
            "notice": row.notice,
            "text_hash": row.text_hash,
            "decided_at": rfc3339(entry.decided_at),
            "recorded_at": rfc3339(row.recorded_at),
        }
        found.append((entry.decided_at, row.entry, shown))
    return [(number, entry) for _, number, entry in sorted(found, key=lambda dated: dated[0])]
