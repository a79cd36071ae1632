"""Staging account events, and adding those of unknown accounts by one statement. RULES 27, 28."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg.errors import UniqueViolation

from reconsent.domain.account import Contact, Profile, Status
from reconsent.facts.record.locks import lock_mailbox_buckets_shared
from reconsent.facts.record.mailbox_reports import unsubscribe_by_address
from reconsent.facts.record.marks import lift_by_what_is_known
from reconsent.store.copying import copy_text
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from datetime import datetime

    from reconsent.store.postgres import Connection

SQL = named("record/new_accounts")


class Changed(NamedTuple):
    """A staged event that differs from the known profile, and its account's key if it is known."""

    position: int
    account_key: int | None
    property: str
    account: str
    status: Status
    contact: Contact
    minor: bool
    email: str | None
    name: str | None
    locale: str | None
    time_zone: str | None
    updated_at: datetime
    is_personal: bool
    stated_at: datetime | None
    address_hash: bytes | None
    verified_at: datetime | None
    opted_in_at: datetime | None


def profile_of(event: Changed) -> Profile:
    """Return the account as an event describes it."""
    return Profile(
        status=event.status,
        contact=event.contact,
        minor=event.minor,
        email=event.email,
        name=event.name,
        locale=event.locale,
        time_zone=event.time_zone,
        updated_at=event.updated_at,
    )


def added_and_changed(connection: Connection, rows: bytes) -> tuple[int, list[Changed]]:
    """Stage rows of account events, add the accounts that are simply new, and count them.

    Also return the other events that differ from the known profiles.
    """
    connection.execute(SQL["make_incoming"])
    connection.execute(SQL["clear_incoming"])
    connection.execute(SQL["make_compared"])
    copy_text(connection, SQL["copy_incoming"], rows)
    compared = _compare(connection)
    if not compared:
        return 0, []
    try:
        with connection.transaction():
            [added] = values(connection, SQL["add"])
    except UniqueViolation:
        # Another transaction has just added one of them.
        added = None
    _lock_mailboxes(connection)
    if added is None:
        return 0, changed(connection)
    _apply_what_is_known(connection)
    return added, [] if added == compared else _changed(connection, every=False)


def _lock_mailboxes(connection: Connection) -> None:
    """Lock the mailboxes that the events name, before any known account is locked.

    Not before accounts are added: nobody else sees these yet, and reports wait less for the
    mailboxes.
    """
    lock_mailbox_buckets_shared(connection, values(connection, SQL["mailbox_buckets"]))


def _apply_what_is_known(connection: Connection) -> None:
    """Lift the marks that the events lift, and record who unsubscribed before it was known."""
    if values(connection, SQL["verifies"]):
        lift_by_what_is_known(connection, values(connection, SQL["verified_and_marked"]))
    if values(connection, SQL["anyone_unsubscribed"]):
        unsubscribe_by_address(connection, values(connection, SQL["unsubscribed"]))


def changed(connection: Connection) -> list[Changed]:
    """Compare the staged events with the known profiles again, and return all that differ."""
    _compare(connection)
    return _changed(connection, every=True)


def _compare(connection: Connection) -> int:
    connection.execute(SQL["clear_compared"])
    return connection.execute(SQL["compare"]).rowcount


def _changed(connection: Connection, *, every: bool) -> list[Changed]:
    return all_rows(connection, Changed, SQL["changed"], {"all": every})
