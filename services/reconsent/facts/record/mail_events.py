"""Recording providers' reports about mails. RULES 15."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.event_hash import hashed_id
from reconsent.domain.mail_report import impersonal
from reconsent.domain.message_names import mailbox_of
from reconsent.domain.notice_id import notice_id
from reconsent.domain.recorded import Counts
from reconsent.facts.notice_ids import accounts_of, as_columns, in_buckets
from reconsent.facts.record.bus_messages import erase_reports
from reconsent.facts.record.locks import (
    lock_all_mailboxes_exclusive,
    lock_keys,
    lock_mailboxes_exclusive,
)
from reconsent.facts.record.mailbox_reports import (
    accepted_for,
    add_reports,
    erase_unknown_addresses,
    unsubscribe_by_address,
)
from reconsent.facts.record.marks import (
    Marked,
    mark,
    note_changed,
    note_undelivered,
)
from reconsent.facts.record.not_ours import count_not_ours
from reconsent.facts.record.reported_marks import lock_reported, mark_reported
from reconsent.facts.record.unsubscribes import Reason, Unsubscribe, record_unsubscribes
from reconsent.store.named import named
from reconsent.store.rows import all_rows, rows_of_all, values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from reconsent.domain.event import MailEvent
    from reconsent.store.postgres import Connection

SQL = named("record/mail_events")
_UNSUBSCRIBING: Final[Mapping[str, Reason]] = {
    "complained": "complained",
    "unsubscribed": "unsubscribed",
}


class _Sent(NamedTuple):
    """A notice that was handed to a provider; `forgotten`: the account is deleted or a minor's."""

    notice_id: UUID
    account_key: int
    address_hash: bytes | None
    forgotten: bool
    attempt_id: int


class _Mailbox(NamedTuple):
    """The mailbox that a notice went to."""

    notice_id: UUID
    address_hash: bytes


class _New(NamedTuple):
    """A report that is new."""

    notice_id: UUID
    event: str
    occurred_at: datetime
    reason: str | None


class _Begun(NamedTuple):
    attempt_id: int
    started_at: datetime


class _Rejected(NamedTuple):
    account_key: int
    notice_id: UUID
    address_hash: bytes


def record_mail_events(
    connection: Connection, events: Sequence[MailEvent], address_hash: Callable[[str], bytes]
) -> Counts:
    """Record reports, in any order.

    Those about notices of ours that were never sent are refused; those about mails of other senders
    are only counted.
    """
    counts = Counts()
    runs = [list(run) for _, run in groupby(enumerate(events), key=lambda one: _alike(one[1]))]
    if len(runs) > 1:
        lock_all_mailboxes_exclusive(connection)
    for numbered in runs:
        alike = [event for _, event in numbered]
        part = (
            _record_by_notice(connection, alike, address_hash)
            if alike[0].notice is not None
            else _record_by_address(connection, alike, address_hash)
        )
        counts = counts.plus(part, [position for position, _ in numbered])
    if counts.not_ours:
        count_not_ours(connection, counts.not_ours)
    named = {mailbox_of(event.email, address_hash) for event in events if event.email}
    erase_unknown_addresses(connection, named, address_hash)
    return counts


def _alike(event: MailEvent) -> tuple[bool, bool]:
    """Return what reports have in common that can be recorded at once.

    A report that names an address is about notices that are not delivered by then.
    """
    by_notice = event.notice is not None
    return by_notice, not by_notice and event.event == "delivered"


def _record_by_notice(
    connection: Connection, events: Sequence[MailEvent], keyed_hash: Callable[[str], bytes]
) -> Counts:
    ids = [notice_id(event.notice or "") for event in events]
    said = zip(ids, (event.event for event in events), strict=True)
    _lock_mailboxes(connection, [(i, event) for i, event in said if i and event != "unsubscribed"])
    sent = _lock(connection, {notice_id for notice_id in ids if notice_id})
    known = [(i, event) for i, event in zip(ids, events, strict=True) if i in sent]
    unsent = _unsent(connection, {i for i in ids if i and i not in sent})
    refused = tuple(
        (position, f"notice: {event.notice!r} was never sent")
        for position, (notice_id, event) in enumerate(zip(ids, events, strict=True))
        if notice_id in unsent
    )
    new = _add(connection, known, sent, keyed_hash)
    _apply(connection, new, sent)
    forgotten = {str(i) for i, _ in known if sent[i].forgotten}
    not_known = {
        event.notice or "" for i, event in zip(ids, events, strict=True)
        if i not in sent and i not in unsent and is_personal(event)
    }  # fmt: skip
    erase_reports(connection, sorted(forgotten | not_known), keyed_hash)
    not_ours = len(events) - len(known) - len(refused)
    return Counts(new=len(new), unchanged=len(known) - len(new), not_ours=not_ours, refused=refused)


def is_personal(event: MailEvent) -> bool:
    """Tell whether a report has more than what it says and of which notice."""
    return bool(event.reason or event.given_email or event.provider_id)


def _record_by_address(
    connection: Connection, events: Sequence[MailEvent], address_hash: Callable[[str], bytes]
) -> Counts:
    """Record reports that name no notice: about mailboxes, and what they accepted lately."""
    hashed = [(mailbox_of(event.email, address_hash), event) for event in events if event.email]
    new = add_reports(connection, hashed, address_hash)
    lock_reported(connection, [(mailbox, event.event) for mailbox, event in new])
    mark_reported(
        connection,
        [(mailbox, event.event, event.reason, event.occurred_at) for mailbox, event in new],
    )
    about = accepted_for(connection, new)
    sent = _lock(connection, {notice_id for notice_id, _ in about})
    known = [(notice_id, event) for notice_id, event in about if notice_id in sent]
    _apply(connection, _add(connection, known, sent, address_hash), sent)
    unsubscribe_by_address(connection, {box for box, event in new if event.event == "unsubscribed"})
    not_ours = len(events) - len(hashed)
    return Counts(new=len(new), unchanged=len(hashed) - len(new), not_ours=not_ours)


def _unsent(connection: Connection, notice_ids: Iterable[UUID]) -> set[UUID]:
    """Return which of some notices are ours, of those that no provider was handed."""
    owners = accounts_of(connection, notice_ids)
    return set(values(connection, SQL["planned"], as_columns(owners))) if owners else set()


def _lock_mailboxes(connection: Connection, reported: Sequence[tuple[UUID, str]]) -> None:
    """Lock the mailboxes that notices went to, before their accounts: notice, event."""
    owners = accounts_of(connection, {notice_id for notice_id, _ in reported})
    if owners:
        mailboxes = dict(all_rows(connection, _Mailbox, SQL["mailboxes"], as_columns(owners)))
        lock_reported(
            connection, [(mailboxes[i], event) for i, event in reported if i in mailboxes]
        )


def _lock(connection: Connection, notice_ids: Iterable[UUID]) -> dict[UUID, _Sent]:
    """Lock notices after their accounts, in the order in which deletions lock them."""
    owners = accounts_of(connection, notice_ids)
    lock_keys(connection, owners.values())
    locked = rows_of_all(connection, _Sent, SQL["lock"], in_buckets(owners))
    return {notice.notice_id: notice for notice in locked}


def _add(
    connection: Connection,
    known: Sequence[tuple[UUID, MailEvent]],
    sent: Mapping[UUID, _Sent],
    keyed_hash: Callable[[str], bytes],
) -> list[_New]:
    columns = {
        "account_key": [sent[notice_id].account_key for notice_id, _ in known],
        "notice_id": [notice_id for notice_id, _ in known],
        "event": [event.event for _, event in known],
        "occurred_at": [event.occurred_at for _, event in known],
        "reason": [
            impersonal(event.event, event.reason) if sent[notice_id].forgotten else event.reason
            for notice_id, event in known
        ],
        "provider_id": [hashed_id(event.provider_id, keyed_hash) for _, event in known],
    }
    return all_rows(connection, _New, SQL["add"], columns)


def _apply(connection: Connection, new: Sequence[_New], sent: Mapping[UUID, _Sent]) -> None:
    """Update notices and accounts after new reports."""
    if not new:
        return
    reported = as_columns({report.notice_id: sent[report.notice_id].account_key for report in new})
    attempts = [sent[notice_id].attempt_id for notice_id in reported["notice_id"]]
    begun = dict(all_rows(connection, _Begun, SQL["begun"], {"attempts": attempts}))
    attempted = {"attempted_at": [begun.get(attempt) for attempt in attempts]}
    connection.execute(SQL["apply"], reported | attempted)
    connection.execute(SQL["undeliver_reminded"], reported)
    # LATE_BOUNCES after a deletion the hash is forgotten.
    mark_reported(
        connection,
        [
            (mailbox, report.event, report.reason, report.occurred_at)
            for report in new
            if (mailbox := sent[report.notice_id].address_hash)
        ],
    )
    note_changed(connection, {sent[report.notice_id].account_key for report in new})
    _record_unsubscribes(connection, new, sent)


def _record_unsubscribes(
    connection: Connection, new: Sequence[_New], sent: Mapping[UUID, _Sent]
) -> None:
    """Record the unsubscribes among new reports."""
    said = [
        Unsubscribe(
            account_key=sent[report.notice_id].account_key,
            notice_id=report.notice_id,
            reason=_UNSUBSCRIBING[report.event],
            channel="provider",
            occurred_at=report.occurred_at,
        )
        for report in new
        if report.event in _UNSUBSCRIBING
    ]
    if said:
        record_unsubscribes(connection, said)


def record_rejections(
    connection: Connection,
    attempt_id: int,
    owners: Mapping[UUID, int],
    *,
    of_mailbox: Collection[UUID],
    at: datetime,
) -> None:
    """Record what a provider's rejections in an attempt say.

    `owners` are the members of the attempt that may have been rejected, with their accounts;
    `of_mailbox` those of whose mailboxes the rejection speaks.
    """
    members = as_columns(owners) | {"attempt_id": attempt_id}
    rejected = all_rows(connection, _Rejected, SQL["rejected"], members)
    undelivered = as_columns({notice.notice_id: notice.account_key for notice in rejected})
    connection.execute(SQL["undeliver_reminded"], undelivered)
    lock_mailboxes_exclusive(connection, {notice.address_hash for notice in rejected})
    mark(
        connection,
        [
            Marked(notice.address_hash, "bounced", at)
            for notice in rejected
            if notice.notice_id in of_mailbox
        ],
    )
    note_undelivered(connection, {notice.address_hash for notice in rejected})
