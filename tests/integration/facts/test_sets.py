"""Cohorts past their limit: the worst case, in which every account has sets of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Final

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
    WITH numbers AS (SELECT generate_series(1, %(accounts)s) AS number),
    made AS (
        INSERT INTO holdings (holdings_id, members, digest)
        SELECT number, jsonb_build_array(jsonb_build_array('user.number' || number, 'v1')),
               sha256(number::text::bytea) FROM numbers
    ), decided AS (
        INSERT INTO standings (standing_id, members, digest)
        SELECT number, CASE WHEN mod(number, 2) = 0 THEN '[]' ELSE jsonb_build_array(
                   jsonb_build_array('ConsentRefused', 'user.number' || number, 'v1',
                                     'marketing', 'example')) END,
               sha256(number::text::bytea) FROM numbers
    )
    INSERT INTO asks (ask_id, members, digest)
    SELECT number, jsonb_build_array(
               jsonb_build_array('user.number' || number, 'v1', 'marketing', 'example')),
           sha256(number::text::bytea) FROM numbers"""


@pytest.fixture
def everyone_differs(database: Database) -> Database:
    """Give each of ACCOUNTS accounts holdings, a standing and an ask of its own."""
    database.transaction(lambda c: c.execute(_MAKE, {"accounts": ACCOUNTS}))
    return database


def _read(connection: Connection, cohorts: Cohorts, ids: list[int]) -> None:
    """Read all kinds as a relay does, and compare them with what must be there."""
    asks = cohorts.asks(connection, POLICY, [(n, n) for n in ids])
    holdings = cohorts.holdings(connection, ids)
    standings = cohorts.standings(connection, ids)
    asked = cohorts.asked(connection, ids)
    assert asks.keys() == {(n, n) for n in ids}
    assert holdings.keys() == standings.keys() == asked.keys() == set(ids)
    for n in ids:
        [held] = holdings[n]
        assert held.data_category == f"user.number{n}"
        assert asked[n] == POLICY.new_uses([held])
        assert (
            asks[n, n] == undecided(asked[n], standings[n]) == (asked[n] if n % 2 == 0 else set())
        )


def test_one_thread_goes_past_the_limit(everyone_differs: Database) -> None:
    """A page that is larger than the limit, and pages after it, are answered like any other."""
    cohorts = Cohorts(LIMIT)
    with everyone_differs.connection() as connection:
        _read(connection, cohorts, list(range(1, ACCOUNTS + 1)))
        for first in range(1, ACCOUNTS, PAGE):
            _read(connection, cohorts, list(range(first, first + PAGE)))


def test_four_threads_share_cohorts_past_the_limit(everyone_differs: Database) -> None:
    """A set that one thread evicts stays valid for a thread that has just looked it up."""
    cohorts = Cohorts(LIMIT)

    def read(seed: int) -> None:
        chance = Random(seed)
        with everyone_differs.connection() as connection:
            for _ in range(150):
                _read(connection, cohorts, chance.sample(range(1, ACCOUNTS + 1), PAGE))

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(read, seed) for seed in range(4)]:
            done.result()
