"""Recording who wants no more optional mail. RULES 10, 14, 15.

It is said to us, not to whoever sends account events: so no such event takes it back, be it that
the owner still counts as one who wants all mail there. Only a deletion dated after it does. It is
no answer about the use of data, and stands in the way of no notice that is owed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from reconsent.store.named import named
from reconsent.store.rows import values

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
    """Somebody left because of one mail: by our page, their mail program, or their provider."""

    notice_id: UUID
    reason: Reason
    channel: Channel
    occurred_at: datetime


def record_unsubscribes(connection: Connection, said: Sequence[Unsubscribe]) -> int:
    """Record who left, about notices that there are; return how many of it was new.

    Locks the accounts. Said of the same notice again it is the same, at its first time.
    """
    notices = {"notice_id": [one.notice_id for one in said]}
    keys = values(connection, SQL["lock"], notices)
    columns = {
        "reason": [one.reason for one in said],
        "channel": [one.channel for one in said],
        "occurred_at": [one.occurred_at for one in said],
    }
    new = connection.execute(SQL["add"], notices | columns).rowcount
    connection.execute(SQL["stop"], {"keys": keys})
    return new
