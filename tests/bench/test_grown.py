"""The next 100,000 of each path in a database that has grown, beside a small one.

What must not grow is the ratio of a path to its floor: the floor is measured at both sizes too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

import pytest

from reconsent.facts.record.publishing import publish
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Database, open_database
from tests.bench.rows import Row, Table, memory
from tests.bench.test_planning import NEXT, measure_planning
from tests.bench.worlds import fill, vacuum, version

_DRAFT: Final = version("v2", "v1", "essential.service", "marketing")
# Everybody was asked by mail, and has not answered.
_TELL: Final = """
WITH made AS (
    INSERT INTO asks (ask_id, members, digest)
    SELECT set_id(members), members, sha256(convert_to(members::text, 'UTF8'))
    FROM (VALUES (jsonb '[["user", "v1", "marketing", "example"]]')) AS one (members)
    RETURNING ask_id
)
INSERT INTO notices (bucket, account_key, version_id, sequence, notice_id, kind, state, ask_id,
                     attempt_id, rendering, address_hash, accepted_at)
SELECT bucket, account_key, version_id, 1,
       notice_id(published, stem, mask, account_key, property, account, 1), 'choice', 'accepted',
       ask_id, 1, 'rendering', coalesce(address_hash, sha256('')), now()
FROM accounts CROSS JOIN made
JOIN notice_stems ON version_id = (SELECT max(version_id) FROM policy_versions)
ORDER BY account_key >> 6
"""
Measure = Callable[[Database, str, int], tuple[Sequence[float], Sequence[float]]]


def _planning(
    database: Database, conninfo: str, first: int
) -> tuple[Sequence[float], Sequence[float]]:
    return measure_planning(database, conninfo, first=first)


_PATHS: Final[dict[str, Measure]] = {"plan": _planning}


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.rows(f"grown-{path}")) for path in _PATHS],
)
def test_grown(
    make_database: Callable[[], str], table: Table, pytestconfig: pytest.Config, path: str
) -> None:
    """The ratio at both sizes; memory is this process's peak after each."""
    ratios, used = [], []
    for size in (NEXT, pytestconfig.getoption("accounts")):
        conninfo = make_database()
        with open_database(conninfo) as database:
            _fill(database, conninfo, size)
            taken, floor = _PATHS[path](database, conninfo, size + 1)
        ratios.append(median(taken) / median(floor))
        used.append(memory())
    few, many = ratios
    row = Row(
        name=f"grown-{path}",
        path=f"{path}: the next {NEXT:,} at {size:,}, as a ratio",
        floor=f"at {NEXT:,}",
        most=1.2,
        compares_ratios=True,
    )
    table.add(
        row, items=1, path=[many], floor=[few], note=" -> ".join(f"{one:.0f} MB" for one in used)
    )


def _fill(database: Database, conninfo: str, size: int) -> None:
    fill(database, conninfo, accounts=size, cohorts=100)
    with database.connection() as connection:
        publish(connection, _DRAFT, PublishedVersions())
        connection.execute(_TELL)
        connection.execute("UPDATE releases SET state = 'sending'")
        connection.execute("DELETE FROM planning_progress")
    vacuum(conninfo)
