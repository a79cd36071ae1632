"""A service that has nothing to do reads few rows, however many accounts and notices there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from typing_extensions import override

from reconsent.facts.read.counts import status
from reconsent.facts.read.erasures import erasures
from reconsent.facts.read.notices import Filters, list_notices
from reconsent.facts.sending.releases import releases
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.log import lag
from reconsent.store.postgres import Connection, Database, open_database
from reconsent.workers.intake import GROUP
from reconsent.workers.service import Service
from tests.growth import fill, services

SIZE = 20_000
# A few for each bucket.
FEW = 4000
Result = TypeVar("Result")
_ROWS_READ = (
    "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)"
    " FROM pg_stat_xact_user_tables"
)


class Watched(Database):
    """A database that counts the rows its transactions read."""

    def __init__(self, database: Database) -> None:
        """Count the rows that are read through another one."""
        self._database = database
        self.patience = database.patience
        self.rows = 0

    @override
    def transaction(self, work: Callable[[Connection], Result]) -> Result:
        def watched(connection: Connection) -> Result:
            result = work(connection)
            self._count(connection)
            return result

        return self._database.transaction(watched)

    @override
    @contextmanager
    def connection(self) -> Iterator[Connection]:
        with self._database.connection() as connection:
            yield connection
            self._count(connection)

    def _count(self, connection: Connection) -> None:
        [(rows,)] = connection.execute(_ROWS_READ.encode()).fetchall()
        self.rows += int(rows)
        # Otherwise the next transaction on this connection would count these rows again.
        connection.execute("SELECT pg_stat_force_next_flush()")


@pytest.fixture(scope="module")
def watched(make_database: Callable[[], str]) -> Iterator[tuple[Watched, dict[str, Service]]]:
    """Yield a database with many accounts, and services that have taken their first step on it."""
    conninfo = make_database()
    with open_database(conninfo) as database:
        fill(database, SIZE)
        watched = Watched(database)
        with services(watched, conninfo) as made:
            for service in made.values():
                assert not service.work()
            yield watched, made


@pytest.mark.parametrize(
    "name",
    [
        "planner", "dispatcher", "scheduler", "relay of permissions", "relay of consents",
        "relay of notices", "relay of unsubscribes",
    ],
)  # fmt: skip
def test_a_step_without_work_reads_a_few_rows(
    watched: tuple[Watched, dict[str, Service]], name: str
) -> None:
    """Neither work nor the question whether there is any depends on what waits until later."""
    database, made = watched
    database.rows = 0
    assert not made[name].work()
    assert made[name].idle()
    assert database.rows < FEW


def _status(connection: Connection) -> Any:  # noqa: ANN401 -- what is counted
    versions = PublishedVersions().now(connection)
    return status(connection, versions, lag(connection, GROUP)).notices


def _releases(connection: Connection) -> Any:  # noqa: ANN401 -- the releases
    return releases(connection, PublishedVersions().now(connection))


def _first_line(filters: Filters, connection: Connection) -> Any:  # noqa: ANN401 -- a notice
    versions = PublishedVersions().now(connection)
    return next(list_notices(connection, Cohorts(), versions, filters))


def _erasures(connection: Connection) -> Any:  # noqa: ANN401 -- a list
    erasures(connection)
    return True


@pytest.mark.parametrize(
    ("read", "most"),
    [
        (_status, FEW),
        (_releases, FEW),
        (_erasures, FEW),
        (lambda c: _first_line(Filters(), c), 10 * FEW),
        (lambda c: _first_line(Filters(policy_version="v2"), c), 10 * FEW),
        (lambda c: _first_line(Filters(account="account-19999"), c), FEW),
    ],
    ids=["status", "release list", "erasures", "notices", "notices of v2", "notices of one"],
)
def test_what_operators_ask_reads_a_few_rows(
    watched: tuple[Watched, dict[str, Service]], read: Callable[[Connection], Any], most: int
) -> None:
    """Counts are not counted again, and a list begins without being read to its end."""
    database, _ = watched
    database.rows = 0
    assert database.transaction(read)
    assert database.rows < most
