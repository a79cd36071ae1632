"""The first notices of accounts that have none of a version yet: by one statement for a range.

What an account is told is decided by its reach, by whether its cohort is asked anything, and by
whether it is informed. These are few, so the rules are asked for all of them beforehand, and the
statement finds each account's answer by a number. Where it does not know a cohort, it does nothing.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.domain.notice import REACHES, next_step
from reconsent.domain.use import Use
from reconsent.facts.sets import ask_ids
from reconsent.store.named import named
from reconsent.store.postgres import restores
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconsent.domain.policy import Policy
    from reconsent.facts.sending.releases import ReleaseFlags
    from reconsent.facts.sets import Cohorts
    from reconsent.store.postgres import Connection

SQL = named("planning/first")

Cohort = tuple[int, int]
# Passed with every range, so no more than a range may add.
_MOST_COHORTS: Final = 20_000
MOST_ACCOUNTS: Final = 2 * _MOST_COHORTS
"""How many accounts a range may have: the cohorts of a greater one could never be known at once.

What is known is forgotten where it exceeds the limit, and what a range lacks then is learnt in two
parts.
"""
# Any ask will do: the rules only look at whether there is one.
_SOMETHING: Final = frozenset({Use("", None, "", "")})


class _Unknown(NamedTuple):
    holdings_id: int
    standing_id: int


class Learnt(NamedTuple):
    """Ids of asks by cohort, as a transaction recorded them after so many restores."""

    ids: Mapping[Cohort, int]
    restores: int


class KnownAsks:
    """What cohorts are asked by a version, by the ids of asks that are recorded for good.

    What a transaction learns is added once that has been committed, unless the database was
    restored since it began.
    """

    def __init__(self) -> None:
        """Begin without knowing any."""
        self._of = (0, 0)
        self._ids: Mapping[Cohort, int] = {}

    def of(self, version_id: int) -> Mapping[Cohort, int]:
        """Return the ids of a version's asks by cohort; 0 where nothing is asked."""
        return self._ids if self._of == (version_id, restores()) else {}

    def add(self, version_id: int, learnt: Learnt) -> None:
        """Remember more of a version; other versions are forgotten."""
        if learnt.restores != restores():
            return
        known = self.of(version_id)
        if len(known) > _MOST_COHORTS:
            known = {}
        self._of = version_id, learnt.restores
        self._ids = {**known, **learnt.ids}


class UnknownCohortsError(Exception):
    """Nothing was planned: what these cohorts are asked has to be recorded first."""

    def __init__(self, cohorts: Iterable[Cohort]) -> None:
        """Take the cohorts that are not known."""
        super().__init__("cohorts are not known")
        self.cohorts = list(cohorts)


def plan_first(
    connection: Connection,
    flags: ReleaseFlags,
    *,
    known: Mapping[Cohort, int],
    which: Mapping[str, Any],
) -> None:
    """Plan the accounts that `which` names.

    Raises UnknownCohortsError, for the caller to record their asks in a transaction of its own: on
    Citus a transaction cannot add to a reference table between two such statements.
    """
    # PostgreSQL takes bucket and key for independent, and expects a few rows of a whole range.
    connection.execute("SET LOCAL enable_nestloop = off")
    parameters = {**which, **_answers(flags), **_columns(known)}
    if unknown := all_rows(connection, _Unknown, SQL["plan"], parameters):
        raise UnknownCohortsError((one.holdings_id, one.standing_id) for one in unknown)


def record_asks(
    connection: Connection, cohorts: Cohorts, policy: Policy, unknown: Iterable[Cohort]
) -> Learnt:
    """Record what cohorts are asked by the latest version; return the ids, 0 for nothing."""
    # The connection is there: what is restored from now on ends it.
    recorded_after = restores()
    asks = cohorts.asks(connection, policy, unknown)
    ids = ask_ids(connection, {ask for ask in asks.values() if ask}) | {frozenset[Use](): 0}
    return Learnt({cohort: ids[ask] for cohort, ask in asks.items()}, recorded_after)


def _answers(flags: ReleaseFlags) -> dict[str, list[Any]]:
    """Ask the rules about every reach, asked something or not, informed or not. RULES 9, 10."""
    answers = [
        (number, step.plan, "suppressed" if step.suppression else flags.ready, step.suppression)
        for number, (reach, asked, inform) in enumerate(
            product(REACHES, (False, True), (False, True))
        )
        for step in [
            next_step(
                reach,
                _SOMETHING if asked else frozenset(),
                None,
                inform=inform,
                cancelled=flags.cancelled,
            )
        ]
        if step.plan
    ]
    numbers, kinds, states, suppressions = zip(*answers, strict=True)
    return {
        "numbers": list(numbers),
        "kinds": list(kinds),
        "states": list(states),
        "suppressions": list(suppressions),
    }


def _columns(known: Mapping[Cohort, int]) -> dict[str, list[int]]:
    return {
        "holdings_ids": [holdings_id for holdings_id, _ in known],
        "standing_ids": [standing_id for _, standing_id in known],
        "ask_ids": list(known.values()),
    }
