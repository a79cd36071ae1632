"""Recording what providers report of mails. RULES 15."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from reconsent.domain.event import NOT_THE_ADDRESS
from reconsent.domain.recorded import Counts
from reconsent.facts.record.unsubscribes import Reason, Unsubscribe, record_unsubscribes
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from reconsent.domain.event import MailEvent
    from reconsent.store.postgres import Connection

SQL = named("record/mail_events")
_LONGEST_ID: Final = 200
_LEAVING: Final[Mapping[str, Reason]] = {
    "complained": "complained",
    "unsubscribed": "unsubscribed",
}


def record_mail_events(connection: Connection, events: Sequence[MailEvent]) -> Counts:
    """Record reports in whatever order they come; those of notices never sent are refused."""
    ids = [_notice_id(event.notice) for event in events]
    wanted = sorted({notice_id for notice_id in ids if notice_id})
    sent = {
        row[0]: row[1:]
        for row in connection.execute(SQL["lock"], {"notice_ids": wanted}).fetchall()
    }
    known = [(i, event) for i, event in zip(ids, events, strict=True) if i in sent]
    refused = tuple(
        (position, f"notice: {event.notice!r} was never sent")
        for position, (notice_id, event) in enumerate(zip(ids, events, strict=True))
        if notice_id not in sent
    )
    new = connection.execute(
        SQL["add"],
        {
            "notice_id": [notice_id for notice_id, _ in known],
            "event": [event.event for _, event in known],
            "occurred_at": [event.occurred_at for _, event in known],
            "reason": [event.reason for _, event in known],
            "provider_id": [_kept_id(event.provider_id) for _, event in known],
            "not_the_address": NOT_THE_ADDRESS,
        },
    ).fetchall()
    if new:
        reported = {
            "notice_ids": [notice_id for notice_id, *_ in new],
            "not_the_address": NOT_THE_ADDRESS,
        }
        connection.execute(SQL["apply"], reported)
        connection.execute(SQL["undeliver_reminded"], reported)
        complaints: dict[int, datetime] = {}
        for notice_id, event, at, _ in new:
            if event == "complained":
                key = sent[notice_id][0]
                complaints[key] = max(at, complaints.get(key, at))
        _touch(
            connection,
            keys=[sent[notice_id][0] for notice_id, *_ in new],
            addresses={sent[notice_id][1] for notice_id, *_, lost in new if lost},
            complaints=complaints,
        )
        _leave(connection, new)
    return Counts(new=len(new), unchanged=len(known) - len(new), refused=refused)


def _leave(connection: Connection, new: Sequence[tuple[Any, ...]]) -> None:
    """Note who wants no more mail, by what is newly reported."""
    said = [
        Unsubscribe(notice_id=notice_id, reason=_LEAVING[event], channel="provider", occurred_at=at)
        for notice_id, event, at, _ in new
        if event in _LEAVING
    ]
    if said:
        record_unsubscribes(connection, said)


def bounce_rejected(connection: Connection, attempt_id: int) -> None:
    """Note the addresses that a provider rejected in an attempt."""
    rows = connection.execute(SQL["rejected_addresses"], {"attempt_id": attempt_id}).fetchall()
    connection.execute(SQL["undeliver_reminded"], {"notice_ids": [row[0] for row in rows]})
    _touch(connection, keys=[], addresses={row[1] for row in rows}, complaints={})


def _touch(
    connection: Connection,
    *,
    keys: Sequence[int],
    addresses: Iterable[bytes],
    complaints: Mapping[int, datetime],
) -> None:
    bounced = sorted(addresses)
    connection.execute(SQL["bounce"], {"addresses": bounced})
    connection.execute(
        SQL["touch"],
        {
            "keys": list(keys),
            "addresses": bounced,
            "complaining": list(complaints),
            "complained_at": list(complaints.values()),
        },
    )


def _kept_id(provider_id: str | None) -> str | None:
    """Return an id that an index takes, however long the provider's is."""
    if provider_id is None or len(provider_id.encode()) <= _LONGEST_ID:
        return provider_id
    return hashlib.sha256(provider_id.encode()).hexdigest()


def _notice_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
