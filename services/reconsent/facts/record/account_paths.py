"""What account events leave behind besides the profile: history, addresses, opting in. RULES 27."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.account import AccountName
from reconsent.domain.bucket import bucket_of
from reconsent.facts.record.bus_messages import erase_messages
from reconsent.facts.record.mailbox_reports import leave_by_address
from reconsent.facts.record.named_addresses import (
    Naming,
    name_addresses,
    try_addresses_again,
)
from reconsent.facts.record.unsubscribes import opt_in
from reconsent.store.copying import copy_in
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reconsent.domain.account import Profile
    from reconsent.facts.record.new_accounts import Changed
    from reconsent.store.postgres import Connection

SQL = named("record/account_paths")
_HISTORY: Final = ("int2", "int8", "timestamptz", "text", "text", "bool", "timestamptz")


class Path(NamedTuple):
    """An account's profiles, from before the events to after each; `key` is None if it is new."""

    key: int | None
    profiles: list[Profile]

    @property
    def before(self) -> Profile:
        """The profile before the events."""
        return self.profiles[0]

    @property
    def now(self) -> Profile:
        """The profile after the events."""
        return self.profiles[-1]

    @property
    def moved(self) -> bool:
        """Whether the account has another address after the events, or none."""
        return self.before.email is not None and self.before.email != self.now.email

    @property
    def arrived(self) -> bool:
        """Whether the account has another address after the events."""
        return self.now.email is not None and self.now.email != self.before.email


def name_of(event: Changed) -> AccountName:
    """Return the name of the account that an event is about."""
    return AccountName(event.property, event.account)


def write_history(
    connection: Connection, events: Sequence[Changed], written: Mapping[AccountName, Path]
) -> None:
    """Add states to the history as they were said, also those that a later one outranks."""
    said = {
        (key, event.updated_at, event.status, event.contact, event.minor): event.stated_at
        for event in events
        if (key := written[name_of(event)].key) is not None
    }
    keys = {"keys": sorted({key for key, *_ in said})}
    known = set(connection.execute(SQL["history"], keys).fetchall()) if said else set()
    new = [
        (bucket_of(state[0]), *state, stated_at)
        for state, stated_at in said.items()
        if state not in known
    ]
    if new:
        copy_in(connection, SQL["write_history"], _HISTORY, new)


def keep_addresses(
    connection: Connection, events: Sequence[Changed], written: Mapping[AccountName, Path]
) -> None:
    """Keep what else events say of addresses and optional mail, also those that are outranked."""
    paths = [(event, written[name_of(event)]) for event in events]
    name_addresses(
        connection,
        [
            Naming(path.key, event.address_hash, event.updated_at, event.verified_at)
            for event, path in paths
            if path.key is not None
            and event.address_hash is not None
            and event.status != "deleted"
            and not (event.minor or path.now.minor)
            and (path.now.deleted_at is None or event.updated_at > path.now.deleted_at)
        ],
    )
    # What was said of these mailboxes before: they are locked since the events were staged.
    leave_by_address(
        connection,
        {
            event.address_hash
            for event, path in paths
            if path.key is not None and event.address_hash
        },
    )
    arrived = {path.key for _, path in paths if path.key is not None and path.arrived}
    try_addresses_again(connection, arrived)
    opt_in(
        connection,
        [
            (path.key, event.opted_in_at)
            for event, path in paths
            if path.key is not None and event.opted_in_at
        ],
    )


def erase_late(
    connection: Connection,
    events: Sequence[Changed],
    paths: Mapping[AccountName, Path],
    keyed_hash: Callable[[str], bytes],
) -> None:
    """Erase events from the bus that arrive after a deletion but are dated before it."""
    late = {
        name: at
        for event in events
        if (at := paths[name := name_of(event)].now.deleted_at)
        and event.updated_at <= at
        and event.is_personal
    }
    erase_messages(connection, late, keyed_hash)
