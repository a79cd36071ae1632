"""Reports that name an address and no notice: whom and what they are about. RULES 15."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.event_hash import hashed_id
from reconsent.domain.message_names import names_of
from reconsent.facts.record.locks import lock_keys
from reconsent.facts.record.marks import having, having_had
from reconsent.facts.record.unsubscribes import Unsubscribe, record_unsubscribes
from reconsent.store.log_erasure import erase_addresses
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from reconsent.domain.bus import Message
    from reconsent.domain.event import MailEvent
    from reconsent.store.postgres import Connection

SQL = named("record/mailbox_reports")
LATE_REPORTS: Final = timedelta(days=10)
"""How long after its acceptance a mail is taken to be what such a report is about."""

_HASH_BYTES: Final = 32
_WITHIN_SECOND: Final = timedelta(microseconds=999_999)

Report = tuple[bytes, "MailEvent"]
"""A report, with the hash of the address that it names."""


class _Added(NamedTuple):
    address_hash: bytes
    event: str
    occurred_at: datetime
    provider_id: str | None


class _Unsubscribed(NamedTuple):
    address_hash: bytes
    occurred_at: datetime


class _About(NamedTuple):
    position: int
    notice_id: UUID


def add_reports(
    connection: Connection, reports: Sequence[Report], keyed_hash: Callable[[str], bytes]
) -> list[Report]:
    """Keep reports; return the new ones, each once."""
    by_key = {_key(report, keyed_hash): report for report in reports}
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


def unsubscribe_by_address(connection: Connection, address_hashes: Collection[bytes]) -> None:
    """Record the unsubscribes that name mailboxes for each account that has or had one of them.

    The mailboxes are locked: an account that names one of them at the same time sees the report,
    or is seen here. So an unsubscribe counts whether it comes before its account or after it.
    """
    if not address_hashes:
        return
    wanted = {"address_hashes": sorted(address_hashes)}
    unsubscribed = all_rows(connection, _Unsubscribed, SQL["unsubscribed"], wanted)
    if not unsubscribed:
        return
    owners: dict[bytes, list[int]] = {}
    for key, mailbox in having_had(connection, {one.address_hash for one in unsubscribed}):
        owners.setdefault(mailbox, []).append(key)
    said = [
        Unsubscribe(
            account_key=key,
            notice_id=None,
            reason="unsubscribed",
            channel="provider",
            occurred_at=one.occurred_at,
        )
        for one in unsubscribed
        for key in owners.get(one.address_hash, [])
    ]
    if said:
        record_unsubscribes(connection, said)


def erase_unowned_addresses(
    connection: Connection, mailboxes: Collection[bytes], keyed_hash: Callable[[str], bytes]
) -> None:
    """Erase mailboxes that no account has any more from what the embedded bus says of them."""
    if not mailboxes:
        return
    # Who has them may be deleted at the same time: the later of the two erases them.
    lock_keys(connection, {one.account_key for one in having(connection, mailboxes)})
    had = values(connection, SQL["had"], {"address_hashes": sorted(mailboxes)})
    if unowned := set(mailboxes).difference(had):
        erase_addresses(connection, unowned, keyed_hash, unreadable=True)


def erase_unknown_addresses(
    connection: Connection, mailboxes: Collection[bytes], keyed_hash: Callable[[str], bytes]
) -> None:
    """Erase mailboxes from the embedded bus that no account has or had, after reports were read.

    The accounts that had them may have been deleted before.
    """
    if not mailboxes:
        return
    # A deletion that is being recorded has looked for these reports already, or will find them.
    lock_keys(connection, {one.account_key for one in having_had(connection, mailboxes)})
    if unknown := unknown_mailboxes(connection, mailboxes):
        erase_addresses(connection, unknown, keyed_hash, unreadable=False)


def erase_unknown_in_dead_letters(
    connection: Connection, dead: Sequence[Message], keyed_hash: Callable[[str], bytes]
) -> None:
    """Do so after messages became dead letters, which are as they came in."""
    named = {
        name
        for message in dead
        if message.topic == "mail-events"
        for name in mailboxes_among(names_of(message.value or b"", keyed_hash))
    }
    erase_unknown_addresses(connection, named, keyed_hash)


def mailboxes_among(names: Iterable[bytes]) -> set[bytes]:
    """Return which of the names in messages are hashes of addresses."""
    return {name for name in names if len(name) == _HASH_BYTES}


def unknown_mailboxes(connection: Connection, mailboxes: Collection[bytes]) -> set[bytes]:
    """Return which of some mailboxes no account has or had."""
    if not mailboxes:
        return set()
    return set(mailboxes) - {one.address_hash for one in having_had(connection, mailboxes)}


def _key(report: Report, keyed_hash: Callable[[str], bytes]) -> _Added:
    mailbox, event = report
    kept_id = hashed_id(event.provider_id, keyed_hash)
    return _Added(mailbox, event.event, event.occurred_at, kept_id)
