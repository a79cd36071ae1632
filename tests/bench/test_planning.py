"""Planning and previewing a release, beside a plain INSERT … SELECT of the same rows."""

from __future__ import annotations

from functools import partial
from typing import Final

import psycopg
import pytest

from reconsent.facts.record.publishing import publish
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Database
from reconsent.workers.planner import Planner
from reconsent.workers.preview import preview
from reconsent.workers.running import run_until_idle
from tests.bench.floors import bare
from tests.bench.rows import TIMES, Row, Table, seconds
from tests.bench.worlds import LAST_ACCOUNT, add, fill, vacuum, version

_ACCOUNTS: Final = 1_000_000
NEXT: Final = 100_000
_DRAFT: Final = version("v2", "v1", "essential.service", "marketing")
_FLOOR: Final = "INSERT INTO bare_notices SELECT * FROM notices"
# Names the buckets, so that the rows are found by their keys however many others there are.
_NEXT: Final = """
INSERT INTO bare_notices SELECT * FROM notices
WHERE bucket = ANY(ARRAY(SELECT bucket FROM buckets)) AND account_key > %(after)s
"""
_READ_ALL: Final = (
    "SELECT count(*) FROM account_sets GROUP BY holdings_id, standing_id",
    "SELECT count(*) FROM accounts GROUP BY status, contact, minor, email IS NULL, unsubscribed",
)
_RELEASE: Final = """
UPDATE releases SET state = 'planning' WHERE version_id = (SELECT max(version_id) FROM releases)
"""
_PLAN_AFTER: Final = """
INSERT INTO planning_progress (bucket, version_id, planned_to)
SELECT bucket, (SELECT max(version_id) FROM releases), %(after)s FROM buckets
ON CONFLICT (bucket, version_id) DO UPDATE SET planned_to = excluded.planned_to
"""
_INSERT: Final = "INSERT … SELECT of the same rows"
_ROWS: Final = {
    100: Row(
        name="plan",
        path="plan 1,000,000 accounts, 100 cohorts",
        floor=_INSERT,
        most=1.25,
    ),
    3000: Row(
        name="plan-cohorts",
        path="plan 1,000,000 accounts, 3,000 cohorts",
        floor=_INSERT,
        most=1.6,
    ),
}
_PREVIEW: Final = Row(
    name="preview", path="preview 1,000,000 accounts, 100 cohorts", floor=_INSERT, most=0.06
)


Times = list[float]


@pytest.mark.parametrize(
    "cohorts",
    [
        pytest.param(100, marks=pytest.mark.rows("plan", "preview")),
        pytest.param(3000, marks=pytest.mark.rows("plan-cohorts")),
    ],
)
def test_planning(database: Database, conninfo: str, table: Table, cohorts: int) -> None:
    """A release of one version to many accounts, and its preview."""
    fill(database, conninfo, accounts=_ACCOUNTS, cohorts=cohorts)
    previewing = [seconds(lambda: preview(database, _DRAFT)) for _ in range(TIMES)]
    database.transaction(lambda connection: publish(connection, _DRAFT, PublishedVersions()))
    planning, floor = [], []
    table.floor("plan", _FLOOR)
    for _ in range(TIMES):
        forget_notices(conninfo)
        planning.append(seconds(lambda: run_until_idle([Planner(database)])))
        floor.append(insert_plainly(database))
    table.add(_ROWS[cohorts], items=_ACCOUNTS, path=planning, floor=floor)
    if cohorts == 100:
        table.add(_PREVIEW, items=_ACCOUNTS, path=previewing, floor=floor)


def measure_planning(database: Database, conninfo: str, *, first: int) -> tuple[Times, Times]:
    """Add accounts, numbered from `first` on, and plan the newest version for them alone.

    The database was filled by `fill`, and has a version that was planned for all other accounts.
    """
    with database.connection() as connection:
        bare(connection, "notices")
        connection.execute(_FLOOR)
    planning, floor = [], []
    for start in range(first, first + TIMES * NEXT, NEXT):
        with database.connection() as connection:
            [(after,)] = connection.execute(LAST_ACCOUNT).fetchall()
            add(connection, start, start + NEXT - 1)
            connection.execute(_RELEASE)
            connection.execute(_PLAN_AFTER, {"after": after})
        vacuum(conninfo)
        planning.append(seconds(lambda: run_until_idle([Planner(database)])))
        floor.append(seconds(partial(_insert_next, database, after)))
    return planning, floor


def measure_preview(database: Database) -> tuple[Times, Times]:
    """Preview a version for all accounts, and read what it has to read, in turns."""
    previewing, floor = [], []
    draft = version("v3", "v2", "essential.service", "marketing", "analytics")
    for _ in range(TIMES):
        previewing.append(seconds(lambda: preview(database, draft)))
        floor.append(seconds(partial(_read_all, database)))
    return previewing, floor


def _read_all(database: Database) -> None:
    with database.connection() as connection:
        for statement in _READ_ALL:
            connection.execute(statement)


def _insert_next(database: Database, after: int) -> None:
    with database.connection() as connection:
        connection.execute(_NEXT, {"after": after})


def insert_plainly(database: Database) -> float:
    """Return how long a plain statement takes for the rows that were planned."""
    with database.connection() as connection:
        bare(connection, "notices")
    return seconds(lambda: database.transaction(lambda c: c.execute(_FLOOR)))


def forget_notices(conninfo: str) -> None:
    """Empty the tables that planning fills, and let the newest version be planned again."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("ALTER TABLE notices DISABLE TRIGGER USER")
        connection.execute("TRUNCATE notices, notice_counts, changes")
        connection.execute("ALTER TABLE notices ENABLE TRIGGER USER")
        connection.execute(_RELEASE)
        connection.execute(_PLAN_AFTER, {"after": 0})
    vacuum(conninfo)
