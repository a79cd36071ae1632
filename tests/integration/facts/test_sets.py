"""Cohorts past their limit: the worst case, in which every account has sets of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from reconsent.domain.consent import undecided
from reconsent.domain.policy import Policy
from reconsent.facts.sets import Cohorts
from tests.drafts import draft, row

if TYPE_CHECKING:
    from reconsent.store.postgres import Connection, Database

ACCOUNTS: Final = 300
LIMIT: Final = 40
PAGE: Final = 30
POLICY: Final = Policy(
    name="campaigner",
    versions=(
        draft(declares=[row("user", "essential.service")]),
        draft(version="v2", follows="v1", declares=[row("user", "essential.service", "marketing")]),
    ),
)
_MAKE: Final = """
    WITH numbers AS (
        SELECT number,
               jsonb_build_array(jsonb_build_array('user.number' || number, 'v1')) AS held,
               jsonb_build_array(jsonb_build_array(
                   CASE WHEN number %% 2 = 0 THEN 'ConsentGiven' ELSE 'ConsentRefused' END,
                   'user.number' || number, 'v1',
                   CASE WHEN number %% 2 = 0 THEN 'essential' ELSE 'marketing' END,
                   'example')) AS decided,
               jsonb_build_array(jsonb_build_array(
                   'user.number' || number, 'v1', 'marketing', 'example')) AS asked
        FROM generate_series(1, %(accounts)s) AS number
    ), holding AS (
        INSERT INTO holdings SELECT set_id(held), held, sha256(number::text::bytea) FROM numbers
    ), deciding AS (
        INSERT INTO standings
        SELECT set_id(decided), decided, sha256(number::text::bytea) FROM numbers
    ), asking AS (
        INSERT INTO asks SELECT set_id(asked), asked, sha256(number::text::bytea) FROM numbers
    )
    SELECT number, set_id(held), set_id(decided), set_id(asked) FROM numbers"""


class Ids(NamedTuple):
    """The ids of an account's sets."""

    number: int
    holdings_id: int
    standing_id: int
    ask_id: int

    @property
    def cohort(self) -> tuple[int, int]:
        """The holdings and the standing."""
        return self.holdings_id, self.standing_id


@pytest.fixture
def everyone(database: Database) -> list[Ids]:
    """Give each of ACCOUNTS accounts holdings, a standing and an ask of its own."""
    with database.connection() as connection:
        return [Ids(*row) for row in connection.execute(_MAKE, {"accounts": ACCOUNTS})]


def _read(connection: Connection, cohorts: Cohorts, some: list[Ids]) -> None:
    """Read all kinds as a relay does, and compare them with what must be there."""
    asks = cohorts.asks(connection, POLICY, [one.cohort for one in some])
    holdings = cohorts.holdings(connection, [one.holdings_id for one in some])
    standings = cohorts.standings(connection, [one.standing_id for one in some])
    asked = cohorts.asked(connection, [one.ask_id for one in some])
    assert asks.keys() == {one.cohort for one in some}
    assert holdings.keys() == {one.holdings_id for one in some}
    assert standings.keys() == {one.standing_id for one in some}
    assert asked.keys() == {one.ask_id for one in some}
    for one in some:
        [held] = holdings[one.holdings_id]
        new = asked[one.ask_id]
        assert held.data_category == f"user.number{one.number}"
        assert new == POLICY.new_uses([held])
        undecided_uses = undecided(new, standings[one.standing_id])
        assert asks[one.cohort] == undecided_uses == (new if one.number % 2 == 0 else frozenset())


def test_one_thread_goes_past_the_limit(database: Database, everyone: list[Ids]) -> None:
    """A page that is larger than the limit, and pages after it, are answered like any other."""
    cohorts = Cohorts(LIMIT)
    with database.connection() as connection:
        _read(connection, cohorts, everyone)
        for first in range(0, ACCOUNTS, PAGE):
            _read(connection, cohorts, everyone[first : first + PAGE])


def test_four_threads_share_cohorts_past_the_limit(database: Database, everyone: list[Ids]) -> None:
    """A set that one thread evicts stays valid for a thread that has just looked it up."""
    cohorts = Cohorts(LIMIT)

    def read(seed: int) -> None:
        chance = Random(seed)
        with database.connection() as connection:
            for _ in range(150):
                _read(connection, cohorts, chance.sample(everyone, PAGE))

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(read, seed) for seed in range(4)]:
            done.result()
