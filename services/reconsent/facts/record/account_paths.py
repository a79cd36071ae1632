"""What account events leave behind besides the profile: history, addresses, opting in. RULES 27."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconsent.domain.account import AccountName
from reconsent.domain.account_statements import Counted
from reconsent.facts.record.account_statements import (
    add_states,
    keep_statements,
    opted_in_earlier,
)
from reconsent.facts.record.bus_messages import erase_messages
from reconsent.facts.record.mailbox_reports import (
    erase_unowned_addresses,
    unsubscribe_by_address,
)
from reconsent.facts.record.named_addresses import (
    MovedNaming,
    Naming,
    name_addresses,
    try_addresses_again,
)
from reconsent.facts.record.new_accounts import profile_of
from reconsent.facts.record.unsubscribes import opt_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from reconsent.domain.account import Profile
    from reconsent.domain.account_statements import Statement, Statements
    from reconsent.facts.record.new_accounts import Changed
    from reconsent.store.postgres import Connection


class Path(NamedTuple):
    """An account's profiles, from before the events to after each; `key` is None if it is new.

    `statements` are all about it, and `kept` those that were kept as a whole before. Of `earlier`
    it turned out that they count from earlier on: the events as they count now, and from when they
    did before.
    """

    key: int | None
    profiles: list[Profile]
    statements: Statements
    kept: Mapping[Statement, datetime]
    earlier: list[tuple[Changed, datetime]]

    @property
    def before(self) -> Profile:
        """The profile before the events."""
        return self.profiles[0]

    @property
    def now(self) -> Profile:
        """The profile after the events."""
        return self.profiles[-1]

    @property
    def forgotten_until(self) -> list[datetime]:
        """The times up to which its addresses are forgotten: a deletion, and being a minor's."""
        return [at for at in (self.now.deleted_at, self.statements.minor_at) if at]

    @property
    def minor_at(self) -> datetime | None:
        """As of when events say that the owner is a minor, or was one."""
        if self.now.minor:
            return self.now.updated_at
        return max((at for state, at in self.statements.new if state.minor), default=None)

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


def begin(key: int | None, statements: Statements) -> Path:
    """Return the path of an account before the events."""
    # A single one is not kept besides the profile.
    kept = dict(statements.whole) if len(statements.whole) > 1 else {}
    return Path(key, [statements.now], statements, kept, [])


def step(path: Path, event: Changed) -> Changed:
    """Apply an event to its account; return the event as it counts."""
    stated_at = event.stated_at or event.updated_at
    at, before = path.statements.add(profile_of(event), stated_at)
    if path.statements.now != path.now:
        path.profiles.append(path.statements.now)
    if at != event.updated_at:
        event = event._replace(
            updated_at=at,
            stated_at=stated_at,
            verified_at=event.verified_at and min(event.verified_at, at),
            opted_in_at=event.opted_in_at and min(event.opted_in_at, at),
        )
    if before:
        path.earlier.append((event, before))
    return event


def write_statements(connection: Connection, written: Mapping[AccountName, Path]) -> None:
    """Add states to the history as they were said, also those that a later one outranks.

    Keep as a whole what may count last once something else is known.
    """
    paths = {path.key: path for path in written.values() if path.key is not None}
    add_states(connection, [(key, path.statements.new) for key, path in paths.items()])
    keep_statements(
        connection,
        {key: path.kept for key, path in paths.items()},
        {key: path.statements.to_keep() for key, path in paths.items()},
    )


def keep_addresses(
    connection: Connection,
    events: Sequence[Changed],
    written: Mapping[AccountName, Path],
    keyed_hash: Callable[[str], bytes],
) -> None:
    """Keep what else events say of addresses and optional mail, also those that are outranked."""
    paths = [(event, written[name_of(event)]) for event in events]
    name_addresses(
        connection,
        [naming for event, path in paths for naming in _namings(event, path)],
        [moved for path in written.values() for moved in _moved_namings(path, keyed_hash)],
    )
    # What was said of these mailboxes before: they are locked since the events were staged.
    unsubscribe_by_address(
        connection,
        {
            event.address_hash
            for event, path in paths
            if path.key is not None and event.address_hash
        },
    )
    arrived = {path.key for _, path in paths if path.key is not None and path.arrived}
    try_addresses_again(connection, arrived)
    _keep_opt_ins(connection, paths, written)


def _keep_opt_ins(
    connection: Connection,
    paths: Sequence[tuple[Changed, Path]],
    written: Mapping[AccountName, Path],
) -> None:
    """Keep when persons asked for optional mail."""
    opted_in_earlier(
        connection,
        {
            path.key: [
                Counted(event.updated_at, before)
                for event, before in path.earlier
                if event.opted_in_at
            ]
            for path in written.values()
            if path.key is not None
        },
    )
    opt_in(
        connection,
        [
            (path.key, event.opted_in_at)
            for event, path in paths
            if path.key is not None and event.opted_in_at
        ],
    )


def _namings(event: Changed, path: Path) -> Iterator[Naming]:
    """Yield what an event names, unless it is forgotten."""
    if (
        path.key is not None
        and event.address_hash is not None
        and event.status != "deleted"
        and not path.now.minor
        and all(event.updated_at > at for at in path.forgotten_until)
    ):
        yield Naming(path.key, event.address_hash, event.updated_at, event.verified_at)


def _moved_namings(path: Path, keyed_hash: Callable[[str], bytes]) -> Iterator[MovedNaming]:
    """Yield the namings that count from earlier on, by the times from which they did."""
    for event, before in path.earlier:
        if path.key is not None and event.address_hash is not None:
            shared = any(
                at == before and said.profile.email
                and keyed_hash(said.profile.email) == event.address_hash
                for said, at in path.statements.whole.items()
            )  # fmt: skip
            yield MovedNaming(path.key, event.address_hash, before, event.updated_at, shared)


def erase_late(
    connection: Connection,
    events: Sequence[Changed],
    paths: Mapping[AccountName, Path],
    keyed_hash: Callable[[str], bytes],
) -> None:
    """Erase events from the bus that arrive after a deletion but are dated before it.

    And, from reports, the addresses of those that were taken to be dated after it.
    """
    late = {
        name: at
        for event in events
        if (at := paths[name := name_of(event)].now.deleted_at)
        and event.updated_at <= at
        and event.is_personal
    }
    erase_messages(connection, late, keyed_hash)
    addresses = {
        event.address_hash
        for path in paths.values()
        for event, _ in path.earlier
        if event.address_hash and any(event.updated_at <= at for at in path.forgotten_until)
    }
    erase_unowned_addresses(connection, addresses, keyed_hash)
