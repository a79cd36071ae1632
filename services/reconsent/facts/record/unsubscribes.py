"""Recording who wants no more optional mail. RULES 10, 14, 15.

An unsubscribe is recorded here, not in the system that sends account events. So no account event
undoes it, not even one with contact `all`, unless it says that the person opted in later. They may
also ask for it again on the page, and a deletion dated after it ends it. It is not a decision about
the use of data, and does not suppress a choice notice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from reconsent.facts.record.locks import lock_keys
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from reconsent.store.postgres import Connection

SQL = named("record/unsubscribes")

Reason = Literal["unsubscribed", "complained"]
Channel = Literal["page", "one_click", "provider"]


@dataclass(frozen=True, kw_only=True)
class Unsubscribe:
    """An unsubscribe from one mail: on the page, in the mail program, or through the provider."""

    account_key: int
    notice_id: UUID | None
    reason: Reason
    channel: Channel
    occurred_at: datetime


def record_unsubscribes(connection: Connection, said: Sequence[Unsubscribe]) -> int:
    """Record unsubscribes from existing notices; return how many were new.

    Locks the accounts. A repeated unsubscribe from the same notice is the same one, at its first
    time; it ends what the person asked for in between.
    """
    lock_keys(connection, (one.account_key for one in said))
    columns = {
        "account_key": [one.account_key for one in said],
        "notice_id": [one.notice_id for one in said],
        "reason": [one.reason for one in said],
        "channel": [one.channel for one in said],
        "occurred_at": [one.occurred_at for one in said],
    }
    new = connection.execute(SQL["add"], columns).rowcount
    connection.execute(SQL["stop"], {"keys": sorted({one.account_key for one in said})})
    return new


def record_resubscribe(
    connection: Connection, account_key: int, notice_id: UUID, occurred_at: datetime
) -> None:
    """Record that a person asked for optional mail again, on the page of a mail."""
    lock_keys(connection, [account_key])
    asked = {"account_key": account_key, "notice_id": notice_id, "occurred_at": occurred_at}
    connection.execute(SQL["resubscribe"], asked)
    opt_in(connection, [(account_key, occurred_at)])


def opt_in(connection: Connection, said: Iterable[tuple[int, datetime]]) -> None:
    """Record when locked accounts asked for optional mail: account, time."""
    latest: dict[int, datetime] = {}
    for key, at in said:
        latest[key] = max(at, latest.get(key, at))
    if latest:
        columns = {"account_key": list(latest), "opted_in_at": list(latest.values())}
        connection.execute(SQL["opt_in"], columns)
        connection.execute(SQL["stop"], {"keys": sorted(latest)})
