"""The ledger of one account, as it is shown and proven. RULES 17, 18."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reconsent.domain.consent import event_states
from reconsent.domain.use import ANY
from reconsent.queries import named

if TYPE_CHECKING:
    from reconsent.adapters.postgres import Connection
    from reconsent.domain.consent import Ledger

SQL = named("consents")


def moment(at: datetime | None) -> str | None:
    """Write a time as RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def ledger_json(connection: Connection, account_key: int, ledger: Ledger) -> list[dict[str, Any]]:
    """Return an account's ledger entries, oldest first, with what became of each."""
    rows = connection.execute(SQL["ledger"], {"account_key": account_key}).fetchall()
    states = event_states(ledger)
    entries: list[tuple[datetime, dict[str, Any]]] = []
    # What was added since the ledger was read stands at the end, and is left out.
    for row, said, state in zip(rows, ledger.said, states, strict=False):
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
            "policy_version": row[0],
            "channel": row[1],
            "notice": str(row[2]) if row[2] else None,
            "text_hash": row[3],
            "decided_at": moment(said.decided_at),
            "recorded_at": moment(row[4]),
        }
        entries.append((said.decided_at, entry))
    return [entry for _, entry in sorted(entries, key=lambda dated: dated[0])]
