"""A Citus cluster for the run, and a fresh database on it for each test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest

from reconsent.store.migrations import migrate
from reconsent.store.postgres import Connection
from tests.citus.cluster import Cluster, run_cluster
from tests.citus.layout import declared, lay_out

_MISSING: Final = (
    "found no Citus: install its packages, or take PostgreSQL out of its image,"
    " and set TEST_CITUS_BIN to the bin folder of a PostgreSQL with Citus"
)
Nodes = list[Connection]
_BINARIES: Final = os.environ.get("TEST_CITUS_BIN", "")  # noqa: TID251 -- a setting of the tests
_SAMPLE: Final = Path(__file__).parent / "sample.sql"
# A wait at another node than the one asked is not limited by lock_timeout.
_OPTIONS: Final = "-c timezone=UTC -c lock_timeout=60s -c statement_timeout=120s"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests in this folder."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("engines")


def pytest_runtest_setup() -> None:
    """Skip the tests in this folder without Citus, also where all others must run.

    No package registry has Citus. Skipped here, they are reported in one line.
    """
    if not _BINARIES:
        pytest.skip(_MISSING)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A coordinator and three workers."""
    with run_cluster(Path(_BINARIES), tmp_path_factory.getbasetemp() / "citus") as running:
        yield running


@pytest.fixture(scope="session")
def sample(cluster: Cluster) -> str:
    """A laid out database with a few tables like those of the program."""
    name = "sample"
    cluster.create(name)
    with psycopg.connect(cluster.conninfo(0, name), autocommit=True) as coordinator:
        coordinator.execute(_SAMPLE.read_bytes())
        lay_out(coordinator)
    cluster.close(name)
    return name


@pytest.fixture(scope="session")
def shared(cluster: Cluster, sample: str) -> str:
    """A copy of the sample that tests share, as they commit nothing."""
    name = "shared"
    cluster.copy(sample, name)
    return name


@pytest.fixture(scope="session")
def program(cluster: Cluster) -> str:
    """A database with the program's tables, laid out; it can only be copied."""
    name = "program"
    cluster.create(name)
    migrate(cluster.conninfo(0, name))
    with psycopg.connect(cluster.conninfo(0, name), autocommit=True) as coordinator:
        assert declared(coordinator).undeclared == []
        lay_out(coordinator)
    cluster.close(name)
    return name


@pytest.fixture
def nodes(cluster: Cluster, shared: str) -> Iterator[Nodes]:
    """Connections to the sample through each node; at the end, what they wrote is rolled back."""
    with opened(cluster, shared, autocommit=False) as connections:
        yield connections


@pytest.fixture
def fresh(cluster: Cluster, sample: str) -> Iterator[Nodes]:
    """Connections in autocommit mode to a copy of the sample that is the test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    cluster.copy(sample, name)
    try:
        with opened(cluster, name, autocommit=True) as connections:
            yield connections
    finally:
        cluster.drop(name)


@contextmanager
def opened(cluster: Cluster, database: str, *, autocommit: bool) -> Iterator[Nodes]:
    """Open a connection to each node, the coordinator's first."""
    with ExitStack() as stack:
        connections = []
        for node in range(len(cluster.ports)):
            address = cluster.conninfo(node, database)
            connection = psycopg.connect(address, autocommit=autocommit, options=_OPTIONS)
            connections.append(stack.enter_context(closing(connection)))
        yield connections
