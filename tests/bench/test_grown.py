"""The next 100,000 of each path in a database that has grown, beside a small one.

What must not grow is the ratio of a path to its floor: the floor is measured at both sizes too. All
paths share the two databases, each with accounts of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import psycopg
import pytest

from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.bus.kafka.topics import create
from reconsent.domain.topics import LAYOUTS
from reconsent.facts.record.publishing import publish
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Database, open_database
from reconsent.workers.planner import Planner
from reconsent.workers.running import run_until_idle
from tests.bench.rows import TIMES, Row, Table, memory
from tests.bench.test_dispatch import measure_dispatch
from tests.bench.test_importing import import_events, make_floor, measure_import, write_events
from tests.bench.test_intake import measure_intake
from tests.bench.test_permissions import measure_permissions
from tests.bench.test_planning import NEXT, measure_planning, measure_preview
from tests.bench.test_relaying import measure_relaying
from tests.bench.worlds import fill, vacuum, version
from tests.bus_contract import PARTITIONS

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
# All has been published, and nothing has changed since.
_PUBLISH: Final = (
    """INSERT INTO relayed_permissions (bucket, item, revision, digest)
       SELECT bucket, account_key, 1, account_key FROM accounts ORDER BY account_key""",
    """INSERT INTO relayed_notices (bucket, item, revision, digest)
       SELECT bucket, notice_id, 1, account_key FROM notices ORDER BY account_key""",
)
_SETTLE: Final = """
UPDATE notices SET state = 'superseded' WHERE state = 'due'
"""


@dataclass(frozen=True, kw_only=True)
class Grown:
    """A database with so many accounts, numbers of further ones, and what paths need besides."""

    size: int
    database: Database
    conninfo: str
    first: int
    folder: Path
    topics: Callable[[], KafkaSettings]


Measured = tuple[Sequence[float], Sequence[float]]


def _plan(grown: Grown) -> Measured:
    return measure_planning(grown.database, grown.conninfo, first=grown.first)


def _preview(grown: Grown) -> Measured:
    return measure_preview(grown.database)


def _import(topic: str, grown: Grown) -> Measured:
    make_floor(grown.database, topic, filled=True)
    imported, copied = [], []
    for first in range(grown.first, grown.first + TIMES * NEXT, NEXT):
        if topic == "collections":
            file = write_events("accounts", grown.folder, first, NEXT)
            import_events(grown.database, "accounts", file)
        took = measure_import(grown.database, topic, grown.folder, first, NEXT)
        imported.append(took[0])
        copied.append(took[1])
    return imported, copied


def _take_in(grown: Grown) -> Measured:
    topics = grown.topics()
    return measure_intake(grown.database, grown.conninfo, topics, grown.folder, first=grown.first)


def _permissions(grown: Grown) -> Measured:
    times = measure_permissions(grown.database, grown.conninfo, first=grown.first)
    return times.function, times.floor


def _dispatch(grown: Grown) -> Measured:
    return measure_dispatch(grown.database, grown.conninfo, first=grown.first)[:2]


def _relay(grown: Grown) -> Measured:
    topics = grown.topics()
    return measure_relaying(grown.database, grown.conninfo, topics, first=grown.first)


_PATHS: Final[dict[str, Callable[[Grown], Measured]]] = {
    "preview": _preview,
    "permissions": _permissions,
    "plan": _plan,
    "dispatch": _dispatch,
    "import-accounts": partial(_import, "accounts"),
    "import-collections": partial(_import, "collections"),
    "relay": _relay,
    "intake": _take_in,
}
_KAFKA: Final = {"relay", "intake"}
# Each path's accounts are numbered from a million of its own on.
_APART: Final = 1_000_000


@pytest.fixture(scope="module")
def filled(
    make_database: Callable[[], str], pytestconfig: pytest.Config
) -> Iterator[dict[int, tuple[Database, str]]]:
    """Yield a small database and one that has grown, by their sizes."""
    made = {size: make_database() for size in (NEXT, pytestconfig.getoption("accounts"))}
    opened = {}
    with ExitStack() as stack:
        for size, conninfo in made.items():
            opened[size] = stack.enter_context(open_database(conninfo)), conninfo
            _fill(*opened[size], size)
        yield opened


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path,
            marks=[pytest.mark.rows(f"grown-{path}"), *[pytest.mark.kafka] * (path in _KAFKA)],
        )
        for path in _PATHS
    ],
)
def test_grown(
    filled: dict[int, tuple[Database, str]],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    table: Table,
    path: str,
) -> None:
    """The ratio at both sizes; memory is this process's peak after each."""
    ratios, used = [], []
    place = 1 + list(_PATHS).index(path)
    for size, (database, conninfo) in filled.items():
        grown = Grown(
            size=size,
            database=database,
            conninfo=conninfo,
            first=max(filled) + place * _APART,
            folder=tmp_path,
            topics=partial(_topics, request, size),
        )
        _settle(grown)
        taken, floor = _PATHS[path](grown)
        ratios.append(median(taken) / median(floor))
        used.append(memory())
    few, many = ratios
    row = Row(
        name=f"grown-{path}",
        path=f"{path}: the next {NEXT:,} at {max(filled):,}, as a ratio",
        floor=f"at {NEXT:,}",
        most=1.2,
        compares_ratios=True,
    )
    table.add(
        row, items=1, path=[many], floor=[few], note=" -> ".join(f"{one:.0f} MB" for one in used)
    )


def _topics(request: pytest.FixtureRequest, size: int) -> KafkaSettings:
    """Create topics for one of the databases."""
    cluster: KafkaSettings = request.getfixturevalue("cluster")
    settings = replace(cluster, topic_prefix=f"grown-{size}-{time.time_ns()}-")
    layouts = [
        replace(layout, partitions=min(layout.partitions, PARTITIONS))
        for layout in LAYOUTS.values()
    ]
    create(settings, layouts)
    return settings


def _settle(grown: Grown) -> None:
    """Leave nothing to do that an earlier path began."""
    run_until_idle([Planner(grown.database)])
    with psycopg.connect(grown.conninfo) as connection:
        connection.execute(_SETTLE)
    vacuum(grown.conninfo)


def _fill(database: Database, conninfo: str, size: int) -> None:
    fill(database, conninfo, accounts=size, cohorts=100)
    with database.connection() as connection:
        publish(connection, _DRAFT, PublishedVersions())
        connection.execute(_TELL)
        for statement in _PUBLISH:
            connection.execute(statement)
        connection.execute("UPDATE releases SET state = 'sending'")
        connection.execute("DELETE FROM planning_progress")
    vacuum(conninfo)
