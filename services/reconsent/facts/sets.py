"""Cohorts: accounts with the same holdings and standing are asked the same. RULES 5 to 7."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from psycopg.rows import class_row
from psycopg.sql import SQL as COMPOSED
from psycopg.sql import Identifier

from reconsent.domain.account import AccountState
from reconsent.domain.consent import Decision, EventState, undecided
from reconsent.domain.notice import Address, Reach
from reconsent.domain.use import Held, Use, sort_key
from reconsent.facts.remembered import Remembered
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import LiteralString

    from reconsent.domain.policy import Policy
    from reconsent.store.postgres import Connection

SQL = named("sets")
_REMEMBERED: Final = 200_000
Set = TypeVar("Set")


@dataclass(frozen=True, kw_only=True)
class Who(AccountState):
    """The columns that decide what an account is asked and whether it may be mailed.

    Rows with these columns extend it.
    """

    holdings_id: int
    standing_id: int
    address: Address

    @property
    def cohort(self) -> tuple[int, int]:
        """The (holdings, standing) ids, which decide what is asked."""
        return self.holdings_id, self.standing_id

    @property
    def reach(self) -> Reach:
        """What decides whether the account may be mailed."""
        return Reach(
            status=self.status, contact=self.contact, minor=self.minor, address=self.address
        )


class Cohorts:
    """A cache of shared sets and of what cohorts are asked; a set with an id never changes.

    Threads may share one. Each lookup returns exactly the ids asked for.
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        """Cache up to this many sets of each kind."""
        self._holdings = Remembered[int, tuple[Held, ...]](remembered)
        self._standings = Remembered[int, tuple[Decision, ...]](remembered)
        self._asks = Remembered[int, frozenset[Use]](remembered)
        self._new_uses = Remembered[tuple[str, int, int], frozenset[Use]](remembered)

    def holdings(self, connection: Connection, ids: Iterable[int]) -> dict[int, tuple[Held, ...]]:
        """Read sets of holdings by their ids."""
        return self._holdings.look_up(
            ids, lambda unknown: _read(connection, SQL["holdings"], unknown, as_holdings)
        )

    def standings(
        self, connection: Connection, ids: Iterable[int]
    ) -> dict[int, tuple[Decision, ...]]:
        """Read sets of standing decisions by their ids."""
        return self._standings.look_up(
            ids, lambda unknown: _read(connection, SQL["standings"], unknown, as_standing)
        )

    def asked(self, connection: Connection, ids: Iterable[int]) -> dict[int, frozenset[Use]]:
        """Read asks by their ids."""
        return self._asks.look_up(
            ids, lambda unknown: _read(connection, SQL["asks"], unknown, as_ask)
        )

    def asks(
        self, connection: Connection, policy: Policy, pairs: Iterable[tuple[int, int]]
    ) -> dict[tuple[int, int], frozenset[Use]]:
        """Return the ask of each (holdings, standing) under the policy's latest version."""
        distinct = set(pairs)
        standings = self.standings(connection, (standing_id for _, standing_id in distinct))
        new_uses = self.new_uses(connection, policy, (holdings_id for holdings_id, _ in distinct))
        return {
            (holdings_id, standing_id): undecided(new_uses[holdings_id], standings[standing_id])
            for holdings_id, standing_id in distinct
        }

    def new_uses(
        self, connection: Connection, policy: Policy, ids: Iterable[int]
    ) -> dict[int, frozenset[Use]]:
        """Return the new uses of sets of holdings by id, decided or not."""
        line = policy.name, len(policy.versions)

        def derive(
            unknown: list[tuple[str, int, int]],
        ) -> dict[tuple[str, int, int], frozenset[Use]]:
            holdings = self.holdings(connection, (holdings_id for *_, holdings_id in unknown))
            return {key: policy.new_uses(holdings[key[2]]) for key in unknown}

        found = self._new_uses.look_up(((*line, holdings_id) for holdings_id in ids), derive)
        return {holdings_id: new for (*_, holdings_id), new in found.items()}


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A set as it is stored."""

    set_id: int
    members: Sequence[Sequence[Any]]


def _read(
    connection: Connection,
    query: LiteralString,
    ids: list[int],
    decode: Callable[[Sequence[Sequence[Any]]], Set],
) -> dict[int, Set]:
    cursor = connection.cursor(row_factory=class_row(_Row))
    return {row.set_id: decode(row.members) for row in cursor.execute(query, {"ids": ids})}


@dataclass(frozen=True, kw_only=True)
class _Numbered:
    """The id of an ask, and the ask's position in the query, from 1."""

    position: int
    ask_id: int


_IDS: Final = {"asks": "ask_id", "holdings": "holdings_id", "standings": "standing_id"}


def make_sets(
    connection: Connection, table: Literal["asks", "holdings", "standings"], members: Sequence[str]
) -> None:
    """Add the sets that do not exist yet; `members` is the JSON of each."""
    query = COMPOSED(SQL["make"]).format(table=Identifier(table), id=Identifier(_IDS[table]))
    connection.execute(query, {"members": members})


def ask_ids(connection: Connection, asks: Iterable[frozenset[Use]]) -> dict[frozenset[Use], int]:
    """Return the ids of asks, adding new ones."""
    distinct = list(set(asks))
    members = [json.dumps(sorted(ask, key=sort_key)) for ask in distinct]
    make_sets(connection, "asks", members)
    cursor = connection.cursor(row_factory=class_row(_Numbered))
    rows = cursor.execute(SQL["ask_ids"], {"members": members})
    return {distinct[row.position - 1]: row.ask_id for row in rows}


def as_holdings(members: Iterable[Sequence[Any]]) -> tuple[Held, ...]:
    """Decode a stored set of holdings."""
    return tuple(Held(*member) for member in members)


def as_standing(members: Iterable[Sequence[Any]]) -> tuple[Decision, ...]:
    """Decode a stored set of standing decisions."""
    return tuple(Decision(EventState(state), Use(*use)) for state, *use in members)


def as_ask(members: Iterable[Sequence[Any]]) -> frozenset[Use]:
    """Decode a stored ask."""
    return frozenset(Use(*member) for member in members)
