"""The ledger of accounts, as it is shown and proven. RULES 17, 18."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconsent.domain.consent import event_states
from reconsent.domain.times import rfc3339
from reconsent.domain.use import ANY
from reconsent.facts.ledgers import read_ledgers
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from reconsent.domain.consent import Ledger
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("read/ledger")


def account_ledger(
    connection: Connection, policies: Policies, property_name: str, account: str
) -> list[dict[str, Any]] | None:
    """Return the ledger entries of an account, oldest first; None if there is no such account."""
    name = {"property": property_name, "account": account}
    row = connection.execute(SQL["account"], name).fetchone()
    if row is None:
        return None
    (key,) = row
    found = read_ledgers(connection, [key], policies)
    return ledger_json(connection, key, found[key]) if found else []


def ledger_json(connection: Connection, account_key: int, ledger: Ledger) -> list[dict[str, Any]]:
    """Return an account's ledger entries, oldest first, with what became of each."""
    return [entry for _, entry in entries(connection, {account_key: ledger})[account_key]]


def entries(
    connection: Connection, ledgers: Mapping[int, Ledger]
) -> dict[int, list[tuple[int, dict[str, Any]]]]:
    """Return the ledger entries of accounts with their ids, oldest first, by account."""
    rows: dict[int, list[tuple[Any, ...]]] = {key: [] for key in ledgers}
    for key, *row in connection.execute(SQL["ledger"], {"keys": list(ledgers)}):
        rows[key].append(tuple(row))
    return {key: _entries(rows[key], ledger) for key, ledger in ledgers.items()}


def _entries(rows: Sequence[tuple[Any, ...]], ledger: Ledger) -> list[tuple[int, dict[str, Any]]]:
    states = event_states(ledger)
    found: list[tuple[datetime, int, dict[str, Any]]] = []
    # What was added since the ledger was read stands at the end, and is left out.
    for row, said, state in zip(rows, ledger.said, states, strict=False):
        consent_id, policy_version, channel, notice_id, text_hash, recorded_at = row
        recipient = said.use.recipient
        if recipient == ANY and said.answer == "allow":
            # An agreement that names nobody is one with the controller of its time.
            recipient = ledger.controller(said.decided_at) or ANY
        entry = {
            "event_state": state.value,
            "data_category": said.use.data_category,
            "collected_under": said.use.collected_under,
            "data_use": said.use.data_use,
            "recipient": recipient,
            "policy_version": policy_version,
            "channel": channel,
            "notice": str(notice_id) if notice_id else None,
            "text_hash": text_hash,
            "decided_at": rfc3339(said.decided_at),
            "recorded_at": rfc3339(recorded_at),
        }
        found.append((said.decided_at, consent_id, entry))
    return [(number, entry) for _, number, entry in sorted(found, key=lambda dated: dated[0])]
