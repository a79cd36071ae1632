"""Cohorts: accounts that hold the same and decided the same are asked the same. RULES 5 to 7."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from reconsent.domain.account import Contact, Status
from reconsent.domain.consent import undecided
from reconsent.domain.notice import Address, Reach
from reconsent.domain.use import sort_key
from reconsent.facts.record.standings import decisions, held, uses
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconsent.domain.consent import Decision
    from reconsent.domain.policy import Policy
    from reconsent.domain.use import Held, Use
    from reconsent.store.postgres import Connection

SQL = named("sets")
_REMEMBERED = 200_000
_Set = TypeVar("_Set")


class Who(NamedTuple):
    """What decides what an account is asked and whether it may be written to, as it is stored."""

    holdings_id: int
    standing_id: int
    status: Status
    contact: Contact
    minor: bool
    address: Address

    @property
    def cohort(self) -> tuple[int, int]:
        """The (holdings, standing) that decide what is asked."""
        return self.holdings_id, self.standing_id

    @property
    def reach(self) -> Reach:
        """Whether and how the account may be written to."""
        return Reach(
            status=self.status, contact=self.contact, minor=self.minor, address=self.address
        )


class Cohorts:
    """What cohorts are asked, remembered: a set never changes once it has an id."""

    def __init__(self) -> None:
        """Start without having seen any."""
        self._holdings: dict[int, tuple[Held, ...]] = {}
        self._standings: dict[int, tuple[Decision, ...]] = {}
        self._asks: dict[int, frozenset[Use]] = {}
        self._new_uses: dict[tuple[str, int, int], frozenset[Use]] = {}

    def holdings(self, connection: Connection, ids: Iterable[int]) -> dict[int, tuple[Held, ...]]:
        """Read sets of holdings by their ids."""
        missing = _missing(ids, self._holdings)
        if missing:
            rows = connection.execute(SQL["holdings"], {"ids": missing})
            self._holdings.update({set_id: held(members) for set_id, members in rows})
        return self._holdings

    def standings(
        self, connection: Connection, ids: Iterable[int]
    ) -> dict[int, tuple[Decision, ...]]:
        """Read sets of standing decisions by their ids."""
        missing = _missing(ids, self._standings)
        if missing:
            rows = connection.execute(SQL["standings"], {"ids": missing})
            self._standings.update({set_id: decisions(members) for set_id, members in rows})
        return self._standings

    def asked(self, connection: Connection, ids: Iterable[int]) -> dict[int, frozenset[Use]]:
        """Read asks by their ids."""
        missing = _missing(ids, self._asks)
        if missing:
            rows = connection.execute(SQL["asks"], {"ids": missing})
            self._asks.update({set_id: uses(members) for set_id, members in rows})
        return self._asks

    def asks(
        self, connection: Connection, policy: Policy, pairs: Iterable[tuple[int, int]]
    ) -> dict[tuple[int, int], frozenset[Use]]:
        """Return what each (holdings, standing) is asked under the policy's latest version."""
        distinct = set(pairs)
        self.standings(connection, (standing for _, standing in distinct))
        return {
            (holdings_id, standing_id): undecided(
                self.new_uses(connection, policy, holdings_id), self._standings[standing_id]
            )
            for holdings_id, standing_id in distinct
        }

    def new_uses(self, connection: Connection, policy: Policy, holdings_id: int) -> frozenset[Use]:
        """Return the new uses of one set of holdings, decided or not."""
        key = (policy.name, len(policy.versions), holdings_id)
        if key not in self._new_uses:
            if len(self._new_uses) > _REMEMBERED:
                self._new_uses.clear()
            held_now = self.holdings(connection, [holdings_id])[holdings_id]
            self._new_uses[key] = policy.new_uses(held_now)
        return self._new_uses[key]


def _missing(ids: Iterable[int], known: dict[int, _Set]) -> list[int]:
    if len(known) > _REMEMBERED:
        known.clear()
    return [set_id for set_id in set(ids) if set_id not in known]


def ask_ids(connection: Connection, asks: Iterable[frozenset[Use]]) -> dict[frozenset[Use], int]:
    """Return the ids of asks, making those that nobody was asked yet."""
    distinct = list(set(asks))
    members = [json.dumps(sorted(ask, key=sort_key)) for ask in distinct]
    connection.execute(SQL["make_asks"], {"members": members})
    rows = connection.execute(SQL["ask_ids"], {"members": members})
    return {distinct[position - 1]: ask_id for position, ask_id in rows}
