"""The counts of notices are right after everything that changes notices, and block nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import psycopg
import pytest
from hypothesis import given, settings

from reconsent.facts.record.notice_counts import merge_counts
from reconsent.store.named import named
from reconsent.store.postgres import Connection, Database, connect
from tests.integration.pipeline import Both
from tests.integration.stage import Stage, stage
from tests.model.steps import Dispatch, Plan, Step
from tests.model.worlds import stories

_COUNT = (
    "SELECT version_id, kind, state, suppression, count(*) FROM notices GROUP BY 1, 2, 3, 4"
    " ORDER BY 1, 2, 3, 4"
)
_ADD = (
    "INSERT INTO notices (account_key, version_id, sequence, kind, state, ask_id)"
    " SELECT n, 1, 1, 'information', 'due', 0 FROM generate_series(1, 10) AS n"
)
_CHANGE = "UPDATE notices SET state = %s WHERE account_key = %s"


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all tests of this module."""
    with stage(make_database()) as made:
        yield made


def agree(connection: Connection) -> None:
    """Check that the sums are the numbers of notices."""
    kept = connection.execute(named("read/counts")["count_states"]).fetchall()
    assert kept == connection.execute(_COUNT.encode()).fetchall()


@settings(max_examples=settings().max_examples // 20)
@given(story=stories(rejections=True))
def test_sums_equal_the_notices_in_any_world(place: Stage, story: Sequence[Step]) -> None:
    """Planning, sending, reports, answers and deletions are counted, merged in between or not."""
    both = Both(place)
    now = story[-1].now
    with connect(place.conninfo, autocommit=True) as connection:
        for number, step in enumerate([*story, Plan(now=now), Dispatch(now=now)]):
            both.take(step)
            agree(connection)
            merge_counts(connection, 1 + number % 3)
            agree(connection)


def test_merged_counts_are_one_row_each(database: Database) -> None:
    """Merging leaves one row of each state, and none of a state that no notice is in any more."""
    with database.connection() as connection:
        connection.execute(_ADD)
        for key in range(1, 11):
            connection.execute(_CHANGE, ("superseded", key))
        merge_counts(connection, 22)
        rows = connection.execute("SELECT state, notices, merged FROM notice_counts").fetchall()
        assert len(rows) == 20 + 1
        merge_counts(connection, 10)
        rows = connection.execute("SELECT state, notices, merged FROM notice_counts").fetchall()
        assert rows == [("superseded", 10, True)]


def test_merging_waits_for_no_writer(database: Database) -> None:
    """Counts of a transaction that is still running are merged after it; none is lost."""
    with database.connection() as connection:
        connection.execute(_ADD)
    with database.connection() as writer:
        writer.execute("SET LOCAL lock_timeout = '5s'")
        writer.execute(_CHANGE, ("planned", 1))
        with database.connection() as connection:
            connection.execute("SET LOCAL lock_timeout = '5s'")
            merge_counts(connection, 1)
        writer.execute(_CHANGE, ("planned", 2))
        agree(writer)
    with database.connection() as connection:
        agree(connection)


def test_an_update_that_waited_counts_from_the_state_it_found(conninfo: str) -> None:
    """A statement counts the state that another transaction gave the row while it waited."""
    with (
        psycopg.connect(conninfo) as first,
        psycopg.connect(conninfo, autocommit=True) as second,
    ):
        first.execute(_ADD)
        first.commit()
        first.execute(_CHANGE, ("planned", 1))
        with second.pipeline():
            second.execute(_CHANGE, ("superseded", 1))
            first.commit()
        agree(second)


@pytest.mark.parametrize("change", ["DELETE FROM notices", "TRUNCATE notices CASCADE"])
def test_notices_stay(database: Database, change: str) -> None:
    """No notice is ever removed: the counts would be wrong, and nobody could prove who was told."""
    with database.connection() as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(change.encode())
