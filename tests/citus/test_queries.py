"""The program's migrations lie on Citus, and every named query runs there, whichever node is asked.

The queries get sample values and find next to nothing: what is tried is that Citus can plan and run
them, with the types that they have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Final, LiteralString

import psycopg
import pytest
from psycopg import sql

from reconsent.store.named import named
from reconsent.store.postgres import Connection
from tests.citus.cluster import Cluster
from tests.citus.conftest import Nodes, opened

_SQL: Final = Path(str(files("reconsent.store").joinpath("sql")))
_ROOMS: Final = sorted(str(path.relative_to(_SQL).with_suffix("")) for path in _SQL.rglob("*.sql"))
# Parts of queries, and what runs elsewhere: the demo has one server.
_LEFT_OUT: Final = {"fragments", "demo"}
_PARTS: Final = {"sending/due:is_due", "sending/due_by_time:is_open"}
# What the program puts into queries that serve several tables.
_FILLED: Final = {
    "published/record": {"table": "relayed_notices", "type": "uuid"},
    "published/state": {"notices": named("read/notices")["notices"]},
    "sets": {"table": "holdings", "id": "holdings_id"},
}
# Intake stages what it reads in temporary tables, or looks each of the accounts named up: in forms
# that several servers do not run. No other may be added, and one that runs must be taken away.
_NOT_YET: Final[set[str]] = {
    # An outer join LATERAL of a temporary table.
    "record/new_accounts:compare",
    "record/collections:find",
}
# PostgreSQL cannot tell the types of their parameters, or they are no statements of their own.
_UTILITY: Final = re.compile(r"(COPY|NOTIFY|SET|LOCK|CREATE TEMPORARY TABLE|DROP TABLE)\b")
_STAGING: Final = re.compile(r"CREATE TEMPORARY TABLE IF NOT EXISTS")
_PARAMETER: Final = re.compile(r"%\((\w+)\)s")
_SAMPLES: Final = {
    "smallint": "7",
    "integer": "7",
    "bigint": "71",
    "double precision": "1",
    "numeric": "1",
    "boolean": "true",
    "uuid": "00000000-0000-8000-a000-000000000047",
    "timestamp with time zone": "2026-01-01Z",
    "date": "2026-01-01",
    "interval": "1 day",
    "bytea": r"\x0711",
    "jsonb": "[]",
    "json": "{}",
    "xid8": "5",
}
# Tables with triggers that refuse changes, a column to write, and which changes.
_REFUSED: Final = """
SELECT relname,
       (SELECT attname FROM pg_attribute
        WHERE attrelid = tgrelid AND attnum > 0 AND NOT attisdropped AND attname <> 'bucket'
          AND attgenerated = '' AND attidentity = '' LIMIT 1),
       array_remove(ARRAY[CASE WHEN tgtype::integer & 16 > 0 THEN 'update' END,
                          CASE WHEN tgtype::integer & 8 > 0 THEN 'delete' END,
                          CASE WHEN tgtype::integer & 32 > 0 THEN 'truncate' END], NULL)
FROM pg_trigger
JOIN pg_dist_partition ON logicalrelid = tgrelid  -- a shard has the trigger too
JOIN pg_class ON pg_class.oid = tgrelid
WHERE NOT tgisinternal AND tgfoid = 'refuse_change'::regproc
"""
_CHANGES: Final[dict[str, LiteralString]] = {
    "update": "UPDATE {table} SET {column} = {column}",
    "delete": "DELETE FROM {table}",
    "truncate": "TRUNCATE {table} CASCADE",
}


def _texts() -> dict[str, str]:
    """Return all queries by room and name, with what the program puts into them."""
    texts = {}
    for room in _ROOMS:
        if room in _LEFT_OUT:
            continue
        parts = dict(named(room)) | _FILLED.get(room, {})
        for name, text in named(room).items():
            # A query that locks names its bucket everywhere.
            bucket = "%(bucket)s" if name.startswith("lock") else "notices.bucket"
            texts[f"{room}:{name}"] = _filled(text, parts | {"bucket": bucket})
    return texts


def _filled(text: str, parts: Mapping[str, str]) -> str:
    """Return a query with what the program puts between braces."""
    whole = text
    while whole != (
        text := re.sub(r"\{(\w+)\}", lambda found: _statement(parts.get(found[1], found[0])), whole)
    ):
        whole = text
    return whole.replace("%%", "%")


def _statement(text: str) -> str:
    return re.sub(r"^--.*\n", "", text, flags=re.MULTILINE).strip()


_TEXTS: Final = _texts()
_STATEMENTS: Final = [
    name
    for name, text in _TEXTS.items()
    if name not in _PARTS and not _UTILITY.match(_statement(text))
]


@pytest.fixture(scope="module")
def tried(cluster: Cluster, program: str) -> str:
    """A copy of the program's database that all tests here share, as they commit nothing."""
    name = "tried"
    cluster.copy(program, name)
    return name


@pytest.fixture
def nodes(cluster: Cluster, tried: str) -> Iterator[Nodes]:
    """Connections to it through each node; at the end, what they wrote is rolled back."""
    with opened(cluster, tried, autocommit=False) as connections:
        yield connections


@pytest.mark.parametrize("node", [0, 1])
@pytest.mark.parametrize("name", [name for name in _STATEMENTS if name not in _NOT_YET])
def test_the_query_runs(nodes: Nodes, name: str, node: int) -> None:
    """Through the coordinator and through a worker."""
    _run(nodes, name, node)


@pytest.mark.parametrize("name", sorted(_NOT_YET))
def test_the_query_does_not_run_yet(nodes: Nodes, name: str) -> None:
    """One that runs must leave the list."""
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        _run(nodes, name, 0)


def _run(nodes: Nodes, name: str, node: int) -> None:
    """Run a named query with sample values."""
    connection = nodes[node]
    _stage(connection, name)
    text = _TEXTS[name]
    parameters = list(dict.fromkeys(_PARAMETER.findall(text)))
    numbers = {parameter: f"${number}" for number, parameter in enumerate(parameters, 1)}
    numbered = _PARAMETER.sub(lambda found: numbers[found[1]], text)
    connection.execute(f"PREPARE tried AS {numbered}".encode())
    [(kinds,)] = connection.execute(
        "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'tried'"
    )
    kind_of = dict(zip(parameters, kinds, strict=True))
    typed = _PARAMETER.sub(lambda found: f"{found[0]}::{kind_of[found[1]]}", text)
    values = {parameter: _sample(kind) for parameter, kind in kind_of.items()}
    with suppress(psycopg.IntegrityError, psycopg.DataError):  # then it ran
        connection.execute(typed.encode(), values or None)


def _stage(connection: Connection, name: str) -> None:
    """Make the temporary tables that a query may read."""
    for text in _TEXTS.values():
        if _STAGING.match(_statement(text)):
            connection.execute(text.encode())
    if name.startswith("planning/steps:"):
        sample = {
            "keys": [71],
            "policy": "x",
            "version_id": 7,
            "release": True,
            "unsent": True,
            "inform_after": [0] * 64,
        }
        connection.execute(_TEXTS["planning/steps:look_at"].encode(), sample)


@pytest.mark.parametrize("node", [0, 1, 3])
def test_what_must_stay_cannot_be_changed(nodes: Nodes, node: int) -> None:
    """Every statement that a trigger of a table refuses is refused through every node."""
    tried = 0
    for table, column, refused in nodes[0].execute(_REFUSED).fetchall():
        for kind in refused:
            statement = sql.SQL(_CHANGES[kind]).format(
                table=sql.Identifier(table), column=sql.Identifier(column)
            )
            with pytest.raises(psycopg.errors.RestrictViolation):
                nodes[node].execute(statement)
            nodes[node].rollback()
            tried += 1
    assert tried > 20


def _sample(kind: str) -> str:
    """Return a value of a type, as text."""
    if not kind.endswith("[]"):
        return _SAMPLES.get(kind, "x")
    element = _SAMPLES.get(kind.removesuffix("[]"), "x").replace("\\", "\\\\")
    return f'{{"{element}"}}'
