"""Recording who wants no more optional mail. RULES 10, 14, 15.

An unsubscribe is recorded here, not in the system that sends account events. So no account event
undoes it, not even one with contact `all`; only a deletion dated after it does. It is not a
decision about the use of data, and does not suppress a choice notice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from reconsent.facts.record.locks import lock_keys
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Sequence
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

    Locks the accounts. A repeated unsubscribe from the same notice counts once, at its first time.
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
