"""Reports that name an address and no notice: whom and what they are about. RULES 15."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.facts.record.marks import having_had
from reconsent.facts.record.unsubscribes import Unsubscribe, record_unsubscribes
from reconsent.store import log
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from uuid import UUID

    from reconsent.domain.event import MailEvent
    from reconsent.store.postgres import Connection

SQL = named("record/mailbox_reports")
_LONGEST_ID: Final = 200
LATE_REPORTS: Final = timedelta(days=10)
"""How long after its acceptance a mail is taken to be what such a report is about."""

_WITHIN_SECOND: Final = timedelta(microseconds=999_999)

Report = tuple[bytes, "MailEvent"]
"""A report, with the hash of the address that it names."""


class _Added(NamedTuple):
    address_hash: bytes
    event: str
    occurred_at: datetime
    provider_id: str | None


class _Left(NamedTuple):
    address_hash: bytes
    occurred_at: datetime


class _About(NamedTuple):
    position: int
    notice_id: UUID


def add_reports(connection: Connection, reports: Sequence[Report]) -> list[Report]:
    """Keep reports; return the new ones, each once."""
    by_key = {_key(report): report for report in reports}
    columns = {
        "address_hash": [key.address_hash for key in by_key],
        "event": [key.event for key in by_key],
        "occurred_at": [key.occurred_at for key in by_key],
        "provider_id": [key.provider_id for key in by_key],
    }
    return [by_key[added] for added in all_rows(connection, _Added, SQL["add"], columns)]


def accepted_for(connection: Connection, reports: Sequence[Report]) -> list[tuple[UUID, MailEvent]]:
    """Return the notices that reports are about: accepted lately for it, and not delivered."""
    about = [report for report in reports if report[1].event != "unsubscribed"]
    if not about:
        return []
    mailboxes = [address_hash for address_hash, _ in about]
    wanted = {
        "keys": [one.account_key for one in having_had(connection, set(mailboxes))],
        "address_hash": mailboxes,
        "until": [_end_of(event.occurred_at) for _, event in about],
        "since": [event.occurred_at - LATE_REPORTS for _, event in about],
    }
    found = all_rows(connection, _About, SQL["accepted_for"], wanted)
    return [(one.notice_id, about[one.position - 1][1]) for one in found]


def _end_of(occurred_at: datetime) -> datetime:
    """Return the last moment that a report's time may mean: most are dated in whole seconds."""
    return occurred_at if occurred_at.microsecond else occurred_at + _WITHIN_SECOND


def leave_by_address(connection: Connection, address_hashes: Collection[bytes]) -> None:
    """Record the unsubscribes that name mailboxes for each account that has or had one of them.

    The mailboxes are locked: an account that names one of them at the same time sees the report,
    or is seen here. So an unsubscribe counts whether it comes before its account or after it.
    """
    if not address_hashes:
        return
    left = all_rows(connection, _Left, SQL["left"], {"address_hashes": sorted(address_hashes)})
    owners: dict[bytes, list[int]] = {}
    for key, mailbox in having_had(connection, {one.address_hash for one in left}) if left else ():
        owners.setdefault(mailbox, []).append(key)
    said = [
        Unsubscribe(
            account_key=key,
            notice_id=None,
            reason="unsubscribed",
            channel="provider",
            occurred_at=one.occurred_at,
        )
        for one in left
        for key in owners.get(one.address_hash, [])
    ]
    if said:
        record_unsubscribes(connection, said)


def erase_named_alone(
    connection: Connection, mailboxes: Collection[bytes], keyed_hash: Callable[[str], bytes]
) -> None:
    """Erase from the embedded bus what names mailboxes alone, if no account has them any more.

    Only where such a report was recorded: they have no key by which they could be found.
    """
    wanted = {"address_hashes": sorted(mailboxes)}
    had = values(connection, SQL["had"], wanted) if mailboxes else []
    named_alone = values(connection, SQL["named_alone"], wanted | {"had": had}) if mailboxes else []
    if named_alone:
        log.erase_addresses(connection, set(named_alone), keyed_hash)


def kept_id(provider_id: str | None) -> str | None:
    """Return a provider's id, or its hash if it is too long for an index."""
    if provider_id is None or len(provider_id.encode()) <= _LONGEST_ID:
        return provider_id
    return hashlib.sha256(provider_id.encode()).hexdigest()


def _key(report: Report) -> _Added:
    address_hash, event = report
    return _Added(address_hash, event.event, event.occurred_at, kept_id(event.provider_id))
