"""Recording providers' reports about mails. RULES 15."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.event import NOT_THE_ADDRESS
from reconsent.domain.notice_id import notice_id
from reconsent.domain.recorded import Counts
from reconsent.facts.notice_ids import accounts_of, as_columns, in_buckets
from reconsent.facts.record.forgetting import erase_reports
from reconsent.facts.record.locks import lock_keys
from reconsent.facts.record.not_ours import count_not_ours
from reconsent.facts.record.unsubscribes import Reason, Unsubscribe, record_unsubscribes
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from reconsent.domain.event import MailEvent
    from reconsent.store.postgres import Connection

SQL = named("record/mail_events")
_LONGEST_ID: Final = 200
_LEAVING: Final[Mapping[str, Reason]] = {
    "complained": "complained",
    "unsubscribed": "unsubscribed",
}


class _Sent(NamedTuple):
    """A notice that was handed to a provider; `forgotten`: the account is deleted or a minor's."""

    notice_id: UUID
    account_key: int
    address_hash: bytes | None
    forgotten: bool


class _New(NamedTuple):
    """A report that is new."""

    notice_id: UUID
    event: str
    occurred_at: datetime
    address_lost: bool


class _Rejected(NamedTuple):
    account_key: int
    notice_id: UUID
    address_hash: bytes


def record_mail_events(connection: Connection, events: Sequence[MailEvent]) -> Counts:
    """Record reports, in any order.

    Those about notices of ours that were never sent are refused; those about mails of other senders
    are only counted.
    """
    ids = [notice_id(event.notice) for event in events]
    sent = _lock(connection, {notice_id for notice_id in ids if notice_id})
    known = [(i, event) for i, event in zip(ids, events, strict=True) if i in sent]
    unsent = _unsent(connection, {i for i in ids if i and i not in sent})
    refused = tuple(
        (position, f"notice: {event.notice!r} was never sent")
        for position, (notice_id, event) in enumerate(zip(ids, events, strict=True))
        if notice_id in unsent
    )
    new = _add(connection, known, sent)
    if new:
        _apply(connection, new, sent)
    erase_reports(connection, [e.notice for i, e in known if sent[i].forgotten])
    not_ours = len(events) - len(known) - len(refused)
    if not_ours:
        count_not_ours(connection, not_ours)
    return Counts(new=len(new), unchanged=len(known) - len(new), not_ours=not_ours, refused=refused)


def _unsent(connection: Connection, notice_ids: Iterable[UUID]) -> set[UUID]:
    """Return which of some notices are ours, of those that no provider was handed."""
    owners = accounts_of(connection, notice_ids)
    return set(values(connection, SQL["planned"], as_columns(owners))) if owners else set()


def _lock(connection: Connection, notice_ids: Iterable[UUID]) -> dict[UUID, _Sent]:
    """Lock notices after their accounts, in the order in which deletions lock them."""
    owners = accounts_of(connection, notice_ids)
    lock_keys(connection, owners.values())
    return {
        notice.notice_id: notice
        for of_bucket in in_buckets(owners)
        for notice in all_rows(connection, _Sent, SQL["lock"], of_bucket)
    }


def _add(
    connection: Connection, known: Sequence[tuple[UUID, MailEvent]], sent: Mapping[UUID, _Sent]
) -> list[_New]:
    columns = {
        "account_key": [sent[notice_id].account_key for notice_id, _ in known],
        "forgotten": [sent[notice_id].forgotten for notice_id, _ in known],
        "notice_id": [notice_id for notice_id, _ in known],
        "event": [event.event for _, event in known],
        "occurred_at": [event.occurred_at for _, event in known],
        "reason": [event.reason for _, event in known],
        "provider_id": [_kept_id(event.provider_id) for _, event in known],
        "not_the_address": NOT_THE_ADDRESS,
    }
    return all_rows(connection, _New, SQL["add"], columns)


def _apply(connection: Connection, new: Sequence[_New], sent: Mapping[UUID, _Sent]) -> None:
    """Update notices and accounts after new reports."""
    reported = as_columns({report.notice_id: sent[report.notice_id].account_key for report in new})
    connection.execute(SQL["apply"], reported)
    connection.execute(SQL["undeliver_reminded"], reported)
    complaints: dict[int, datetime] = {}
    for report in new:
        if report.event == "complained":
            key, at = sent[report.notice_id].account_key, report.occurred_at
            complaints[key] = max(at, complaints.get(key, at))
    hashes = {sent[report.notice_id].address_hash for report in new if report.address_lost}
    _touch(
        connection,
        keys=[sent[report.notice_id].account_key for report in new],
        # After LATE_BOUNCES the hash is forgotten.
        addresses=[address_hash for address_hash in hashes if address_hash],
        complaints=complaints,
    )
    _leave(connection, new, sent)


def _leave(connection: Connection, new: Sequence[_New], sent: Mapping[UUID, _Sent]) -> None:
    """Record the unsubscribes among new reports."""
    said = [
        Unsubscribe(
            account_key=sent[report.notice_id].account_key,
            notice_id=report.notice_id,
            reason=_LEAVING[report.event],
            channel="provider",
            occurred_at=report.occurred_at,
        )
        for report in new
        if report.event in _LEAVING
    ]
    if said:
        record_unsubscribes(connection, said)


def bounce_rejected(connection: Connection, attempt_id: int, owners: Mapping[UUID, int]) -> None:
    """Record the addresses that a provider rejected in an attempt as bounced.

    `owners` are the members of the attempt that may have been, with their accounts.
    """
    members = as_columns(owners) | {"attempt_id": attempt_id}
    rejected = all_rows(connection, _Rejected, SQL["rejected_addresses"], members)
    undelivered = as_columns({notice.notice_id: notice.account_key for notice in rejected})
    connection.execute(SQL["undeliver_reminded"], undelivered)
    _touch(
        connection,
        keys=[],
        addresses={notice.address_hash for notice in rejected},
        complaints={},
    )


def _touch(
    connection: Connection,
    *,
    keys: Sequence[int],
    addresses: Iterable[bytes],
    complaints: Mapping[int, datetime],
) -> None:
    bounced = {"addresses": sorted(addresses)}
    connection.execute(SQL["mark_bounced"], bounced)
    touched = sorted({*keys, *values(connection, SQL["having_addresses"], bounced)})
    # A claim skips locked accounts, so it sees the mark or does not take the notice.
    lock_keys(connection, touched)
    said = {"complaining": list(complaints), "complained_at": list(complaints.values())}
    connection.execute(SQL["complain"], said)
    connection.execute(SQL["touch"], {"keys": touched})


def _kept_id(provider_id: str | None) -> str | None:
    """Return a provider's id, or its hash if it is too long for an index."""
    if provider_id is None or len(provider_id.encode()) <= _LONGEST_ID:
        return provider_id
    return hashlib.sha256(provider_id.encode()).hexdigest()
