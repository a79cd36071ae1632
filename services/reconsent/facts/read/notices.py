"""Notices in their current state. RULES 12, 13.

What follows from other facts is derived rather than stored: whether a later version superseded a
notice, what an unmailed notice asks, whether a mailed question is still open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg.rows import class_row
from psycopg.sql import SQL as COMPOSED

from reconsent.domain.consent import Decision
from reconsent.domain.errors import BadInputError
from reconsent.domain.notice import MAILED, REPLACEABLE, UNMAILED, settled
from reconsent.domain.use import Use, sort_key
from reconsent.facts.notice_ids import account_of
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import Policies
from reconsent.store.named import named
from reconsent.store.postgres import Connection, look_up_by_index
from reconsent.store.rows import one_row

SQL = named("read/notices")
NOTICES: Final = COMPOSED(SQL["notices"])
"""The columns of `Row`; a query adds which notices it wants."""
_LIST: Final = COMPOSED(SQL["list"]).format(notices=NOTICES)
_FIRST_PAGE: Final = 100
_PAGE: Final = 2000
_UNTOLD: Final = UNMAILED | {"suppressed", "rejected", "bounced", "unknown", "abandoned"}


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which notices are wanted; None means any."""

    property: str | None = None
    account: str | None = None
    policy_version: str | None = None
    state: str | None = None
    not_told: bool = False
    after: UUID | None = None
    """List what comes after this notice."""


class _Place(NamedTuple):
    """A place in the list: after all notices up to this one."""

    property: str
    account: str = ""
    version_id: int = 0
    sequence: int = 0

    def as_parameters(self) -> dict[str, Any]:
        """Return it as the query takes it."""
        return {
            "property": self.property,
            "after_account": self.account,
            "after_version": self.version_id,
            "after_sequence": self.sequence,
        }


class Row(NamedTuple):
    """A stored notice, with what its current state depends on; columns of the query."""

    account_key: int
    notice_id: Any
    property: str
    account: str
    version_id: int
    sequence: int
    kind: Any
    state: Any
    suppression: str | None
    settled: Any
    ask_id: int
    dead: bool
    undelivered: bool
    is_last: bool
    holdings_id: int
    standing_id: int

    def unnamed(self) -> tuple[Any, ...]:
        """All but its names; what is derived of it depends on nothing else."""
        return self[4:]


class Notice(NamedTuple):
    """A notice's derived parts: state, suppression, how its question was settled, its ask."""

    state: str
    suppression: str | None
    settled: str | None
    asks: frozenset[Use]


def list_notices(
    connection: Connection, cohorts: Cohorts, policies: Policies, filters: Filters
) -> Iterator[dict[str, Any]]:
    """List notices as `reconsent notices` prints them, by account, version and sequence.

    Raises BadInputError at the first one if there is no notice to continue after.
    """
    look_up_by_index(connection)
    connection.execute(SQL["begin_list"])
    for rows in _pages(connection, policies, filters):
        for row, notice in as_they_stand(connection, cohorts, policies, rows):
            if filters.state not in (None, notice.state):
                continue
            if filters.not_told and not _not_told(row, notice):
                continue
            yield notice_json(policies, row, notice)


def _pages(connection: Connection, policies: Policies, filters: Filters) -> Iterator[list[Row]]:
    """Read what may be listed, a page at a time; the first is short, so that it comes at once."""
    start = _start(connection, filters.after)
    size = _FIRST_PAGE
    for name, policy in sorted(policies.owners.items()):
        if filters.property not in (None, name) or name < start.property:
            continue
        version_id = policies.ids.get((policy, filters.policy_version or ""))
        if filters.policy_version is not None and version_id is None:
            continue
        after = start if name == start.property else _Place(name)
        wanted = {
            "newest": policies.newest,
            "version_id": version_id,
            "account": filters.account,
        }
        with connection.cursor(name="notices", row_factory=class_row(Row)) as cursor:
            cursor.execute(_LIST, wanted | _worth_reading(filters) | after.as_parameters())
            while rows := cursor.fetchmany(size):
                yield rows
                size = _PAGE


def _start(connection: Connection, after: UUID | None) -> _Place:
    """Return the place of the notice to continue after; without one, that before all others."""
    if after is None:
        return _Place("")
    wanted = {"account_key": account_of(connection, after), "notice_id": after}
    place = one_row(connection, _Place, SQL["place"], wanted)
    if place is None:
        raise BadInputError(f"--after: there is no notice {after}")
    return place


def _worth_reading(filters: Filters) -> dict[str, Any]:
    """Return which stored states can pass the filters: a state is stored unless superseded."""
    states = None
    if filters.state not in (None, "superseded"):
        states = [filters.state]
    elif filters.not_told:
        states = sorted(_UNTOLD)
    return {"states": states, "undelivered": filters.not_told}


def as_they_stand(
    connection: Connection, cohorts: Cohorts, policies: Policies, rows: list[Row]
) -> Iterator[tuple[Row, Notice]]:
    """Yield stored notices with their derived parts."""
    asked = cohorts.asked(connection, {row.ask_id for row in rows})
    standings = cohorts.standings(connection, {row.standing_id for row in rows})
    latest = set(policies.latest_ids)
    by_version: dict[int, set[tuple[int, int]]] = {}
    for row in rows:
        if row.version_id in latest:
            by_version.setdefault(row.version_id, set()).add(_cohort(row))
    asks = {
        version_id: cohorts.asks(
            connection, policies.by_name[policies.versions[version_id].policy], pairs
        )
        for version_id, pairs in by_version.items()
    }
    for row in rows:
        is_latest = row.version_id in latest
        ask = asks[row.version_id][_cohort(row)] if is_latest else frozenset[Use]()
        standing = standings[row.standing_id]
        yield row, derived(row, asked[row.ask_id], ask, standing, latest=is_latest)


def _cohort(row: Row) -> tuple[int, int]:
    return row.holdings_id, row.standing_id


def derived(
    row: Row,
    asks: frozenset[Use],
    ask: frozenset[Use],
    standing: tuple[Decision, ...],
    *,
    latest: bool,
) -> Notice:
    """Derive a notice's current state from what its account is asked now. RULES 12, 13."""
    if row.kind != "choice":
        overtaken = row.state in UNMAILED and not latest
        return Notice("superseded" if overtaken else row.state, row.suppression, None, asks)
    if row.dead:
        return Notice(row.state, row.suppression, "void", asks)
    if row.state in REPLACEABLE:
        if latest and ask:
            return Notice(row.state, row.suppression, None, ask)
        return Notice("superseded", None, "superseded", asks)
    if row.state in MAILED and latest and row.is_last:
        return Notice(row.state, None, settled(asks, ask, standing), asks)
    return Notice(row.state, row.suppression, row.settled or "superseded", asks)


def _not_told(row: Row, notice: Notice) -> bool:
    """Tell whether a person should have been mailed and was not."""
    if (
        row.kind == "reminder"
        or row.dead
        or notice.settled is not None
        or notice.suppression == "not_opted_in"
    ):
        return False
    return notice.state in _UNTOLD or row.undelivered


def notice_json(policies: Policies, row: Row, notice: Notice) -> dict[str, Any]:
    """Return a notice as `reconsent notices` prints it."""
    return {
        "notice": str(row.notice_id),
        "property": row.property,
        "account": row.account,
        **unnamed_json(policies, row, notice),
    }


def unnamed_json(policies: Policies, row: Row, notice: Notice) -> dict[str, Any]:
    """Return what is printed of a notice after its names: the same for many."""
    version = policies.versions[row.version_id]
    return {
        "policy": version.policy,
        "policy_version": version.version,
        "sequence": row.sequence,
        "kind": row.kind,
        "state": notice.state,
        "suppression": notice.suppression,
        "settled": notice.settled,
        "asks": [use._asdict() for use in sorted(notice.asks, key=sort_key)],
    }
