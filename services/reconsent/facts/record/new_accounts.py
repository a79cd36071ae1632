"""Staging account events, and adding those of unknown accounts by one statement. RULES 27, 28."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg.errors import UniqueViolation

from reconsent.domain.account import Contact, Profile, Status
from reconsent.store.copying import copy_text
from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
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
    copy_text(connection, SQL["copy_incoming"], rows)
    try:
        with connection.transaction():
            found = connection.execute(SQL["add"]).fetchall()
    except UniqueViolation:
        # Another transaction has just added one of them.
        return 0, changed(connection)
    return found[0][0], [Changed._make(row[1:]) for row in found if row[1] is not None]


def changed(connection: Connection, positions: Sequence[int] | None = None) -> list[Changed]:
    """Compare staged events with the known profiles, all or those at some positions."""
    return all_rows(connection, Changed, SQL["compare"], {"positions": positions})
