"""Staging account events, and adding those of unknown accounts by one statement. RULES 27, 28."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg.errors import UniqueViolation

from reconsent.store.copying import copy_in
from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reconsent.domain.event import AccountEvent
    from reconsent.store.postgres import Connection

SQL = named("record/new_accounts")
_INCOMING: Final = (
    "int4", "text", "text", "text", "text", "bool", "text", "text", "text", "text", "timestamptz",
)  # fmt: skip
_NO_HASH: Final = bytes(32)


class _Changed(NamedTuple):
    """The position of an event that differs from the known profile, and its account's key."""

    position: int
    account_key: int | None


def added_and_changed(
    connection: Connection,
    events: Sequence[AccountEvent],
    address_hash: Callable[[str], bytes],
) -> tuple[int, list[tuple[AccountEvent, int | None]]]:
    """Add the accounts that are simply new, and count them.

    Also return the other events that differ from the known profiles, with the accounts' keys.
    """
    connection.execute(SQL["make_incoming"])
    rows = (
        (
            position, event.property, event.account, event.status, event.contact, event.minor,
            event.email, event.name, event.locale, event.time_zone, event.updated_at,
        )
        for position, event in enumerate(events)
    )  # fmt: skip
    copy_in(connection, SQL["copy_incoming"], _INCOMING, rows)
    found = all_rows(connection, _Changed, SQL["compare"])
    new = _simply_new({at: events[at] for at, key in found if key is None})
    if new and not _add(connection, new, address_hash):
        new = {}
    connection.execute(SQL["clear_incoming"])
    return len(new), [(events[at], key) for at, key in found if at not in new]


def _simply_new(unknown: Mapping[int, AccountEvent]) -> dict[int, AccountEvent]:
    """Return the events of unknown accounts, by position, that are the account as it will be.

    Each is the only one of its account, and is no reason to forget anything.
    """
    times = Counter((event.property, event.account) for event in unknown.values())
    return {
        position: event
        for position, event in unknown.items()
        if times[event.property, event.account] == 1
        and event.status != "deleted"
        and not event.minor
    }


def _add(
    connection: Connection,
    new: Mapping[int, AccountEvent],
    address_hash: Callable[[str], bytes],
) -> bool:
    """Add accounts whose staged events are at these positions.

    False, and nothing is added, if another transaction has just added one of them.
    """
    hashes = b"".join(
        address_hash(email) if (email := event.email) else _NO_HASH for event in new.values()
    )
    try:
        with connection.transaction():
            connection.execute(SQL["add"], {"positions": list(new), "hashes": hashes})
    except UniqueViolation:
        return False
    return True
