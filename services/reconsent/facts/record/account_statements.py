"""What account events said, read and kept beside the accounts. RULES 27."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.account import Contact, Profile, Status
from reconsent.domain.account_statements import State, Statement, Statements, statement
from reconsent.domain.bucket import bucket_of
from reconsent.store.copying import copy_in
from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from reconsent.domain.account_statements import Counted
    from reconsent.store.postgres import Connection

SQL = named("record/account_statements")
_KEPT: Final = (
    "int2", "int8", "timestamptz", "timestamptz", "text", "text", "text", "text", "text", "text",
)  # fmt: skip

_HISTORY: Final = ("int2", "int8", "timestamptz", "text", "text", "bool", "timestamptz")


class _State(NamedTuple):
    """A row of the history."""

    account_key: int
    since: datetime
    status: Status
    contact: Contact
    minor: bool
    stated_at: datetime | None


class _Whole(NamedTuple):
    """A statement that is kept as a whole."""

    account_key: int
    stated_at: datetime
    counts_from: datetime
    status: Status
    contact: Contact
    email: str | None
    name: str | None
    locale: str | None
    time_zone: str | None

    def statement(self) -> Statement:
        """Return what it states."""
        return Statement(
            self.stated_at,
            Profile(
                status=self.status,
                contact=self.contact,
                email=self.email,
                name=self.name,
                locale=self.locale,
                time_zone=self.time_zone,
            ),
        )


class Kept(NamedTuple):
    """The profile of an account, and the time that it states, if it counts from an earlier one."""

    profile: Profile
    stated_at: datetime | None


def read_statements(connection: Connection, accounts: Mapping[int, Kept]) -> dict[int, Statements]:
    """Read the statements about locked accounts, given by their keys."""
    if not accounts:
        return {}
    keys = {"keys": sorted(accounts)}
    found = {key: Statements(now=kept.profile) for key, kept in accounts.items()}
    for row in all_rows(connection, _State, SQL["states"], keys):
        states = found[row.account_key].states
        state = State(row.stated_at or row.since, row.status, row.contact, row.minor)
        states[state] = min(row.since, states.get(state, row.since))
    for whole in all_rows(connection, _Whole, SQL["whole"], keys):
        found[whole.account_key].whole[whole.statement()] = whole.counts_from
    for key, (profile, stated_at) in accounts.items():
        if not found[key].whole and profile.updated_at is not None:
            only = statement(profile, stated_at or profile.updated_at)
            found[key].whole[only] = profile.updated_at
    return found


def keep_statements(
    connection: Connection,
    before: Mapping[int, Mapping[Statement, datetime]],
    now: Mapping[int, Mapping[Statement, datetime]],
) -> None:
    """Keep what is to be kept of accounts now, given what was before."""
    changed = {key: kept for key, kept in now.items() if kept != before.get(key, {})}
    gone = sorted(key for key in changed if before.get(key))
    if gone:
        connection.execute(SQL["forget"], {"keys": gone})
    rows = [
        (bucket_of(key), key, one.stated_at, at, said.status, said.contact, said.email, said.name,
         said.locale, said.time_zone)
        for key, kept in changed.items()
        for one, at in kept.items()
        for said in (one.profile,)
    ]  # fmt: skip
    if rows:
        copy_in(connection, SQL["keep"], _KEPT, rows)


def add_states(
    connection: Connection, new: Iterable[tuple[int, Iterable[tuple[State, datetime]]]]
) -> None:
    """Add states to the histories of accounts, given by their keys."""
    rows = [
        (
            bucket_of(key),
            key,
            since,
            status,
            contact,
            minor,
            stated_at if since < stated_at else None,
        )
        for key, states in new
        for (stated_at, status, contact, minor), since in states
    ]
    if rows:
        copy_in(connection, SQL["add_states"], _HISTORY, rows)


def opted_in_earlier(connection: Connection, earlier: Mapping[int, Sequence[Counted]]) -> None:
    """Correct when accounts asked for optional mail by statements that count from earlier on.

    Of other statements between the two times it is not known any more: no mail is the safe answer.
    """
    said = {key: counted for key, counted in earlier.items() if counted}
    if said:
        columns = {
            "account_key": list(said),
            "at": [min(one.at for one in counted) for counted in said.values()],
            "before": [max(one.before or one.at for one in counted) for counted in said.values()],
        }
        connection.execute(SQL["opted_in_earlier"], columns)
