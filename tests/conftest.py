"""Fixtures for all tests: a real PostgreSQL server, and a fresh database per test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from hypothesis import Phase, settings

from reconsent.embedded.user import join
from reconsent.store.migrations import migrate
from reconsent.store.postgres import Database, open_database

# Machines differ in speed: no deadline. The explain phase would trace every line.
_PHASES = tuple(phase for phase in Phase if phase is not Phase.explain)
# CI tries the same examples each time; new ones are searched for locally.
settings.register_profile(
    "patient", deadline=None, phases=_PHASES, derandomize="CI" in os.environ, max_examples=40
)
# For `make test-engines`, which has more time.
settings.register_profile(
    "wide", deadline=None, phases=_PHASES, derandomize="CI" in os.environ, max_examples=240
)
settings.register_profile("thorough", deadline=None, phases=_PHASES, max_examples=4000)
# For a first look: shrinking an example may take minutes.
settings.register_profile("unshrunk", deadline=None, phases=(Phase.explicit, Phase.generate))
settings.load_profile("patient")

# Show the values of failed assertions, as in a test module.
pytest.register_assert_rewrite("tests.bus_contract", "tests.mail_contract")

# The files that take longest, in the order in which they begin; all others follow. What waits, for
# the broker or for a crash, is mixed with what computes.
LONGEST = (
    "integration/test_pipeline_model.py",
    "integration/test_invariants.py",
    "kafka/test_story_table_kafka.py",
    "integration/test_new_database.py",
    "integration/embedded/test_user.py",
    "integration/facts/read/test_permissions.py",
    "integration/facts/record/test_marks.py",
    "integration/facts/record/test_account_copies.py",
    "integration/facts/record/test_copies.py",
    "integration/facts/record/test_notice_counts.py",
    "integration/workers/test_relay.py",
    "model/test_model.py",
    "upgrade/test_upgrade.py",
    "acceptance/test_wheel.py",
    "kafka/test_bus_kafka.py",
    "integration/test_database_gone.py",
    "acceptance/test_commands.py",
    "kafka/test_events_doc.py",
    "integration/test_cases.py",
    "unit/test_collection.py",
    "acceptance/test_story_table.py",
    "kafka/test_intake_kafka.py",
    "integration/mail/smtp/test_replies.py",
    "acceptance/test_browser.py",
    "kafka/test_relay_kafka.py",
    "acceptance/test_dead_letters.py",
    "integration/test_at_once.py",
    "acceptance/test_demo.py",
)

_FORBIDDEN = ("DATABASE_URL", "MAIL_URL", "RECONSENT_HOME", "PUBLIC_URL", "RECONSENT_SECRET")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files begin first, so that the processes of a run end together."""
    begin = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: begin.get(item.path, len(begin)))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of the surrounding environment."""
    for name in _FORBIDDEN:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server for the session: the embedded one, or TEST_DATABASE_URL's."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    with join(tmp_path_factory.mktemp("home")) as user:
        yield user.conninfo


@pytest.fixture(scope="session")
def make_database(server: str) -> Callable[[], str]:
    """Return a function that creates a fully migrated database and returns its conninfo."""
    template = f"template_{uuid.uuid4().hex[:12]}"
    _create(server, f"CREATE DATABASE {template}")
    migrate(psycopg.conninfo.make_conninfo(server, dbname=template))

    def make() -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        _create(server, f"CREATE DATABASE {name} TEMPLATE {template}")
        return psycopg.conninfo.make_conninfo(server, dbname=name)

    return make


@pytest.fixture(scope="session")
def make_empty(server: str) -> Callable[[], str]:
    """Return a function that creates a database without tables and returns its conninfo."""

    def make() -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        _create(server, f"CREATE DATABASE {name}")
        return psycopg.conninfo.make_conninfo(server, dbname=name)

    return make


def _create(server: str, command: LiteralString) -> None:
    """Create a database for the tests' role, which may not create any itself."""
    role = psycopg.conninfo.conninfo_to_dict(server)["user"]
    admin = psycopg.conninfo.make_conninfo(server, user="postgres", dbname="postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"{command} OWNER {role}")


@pytest.fixture
def conninfo(make_database: Callable[[], str]) -> str:
    """Return the conninfo of a fresh database."""
    return make_database()


@pytest.fixture
def database(conninfo: str) -> Iterator[Database]:
    """Open a fresh database."""
    with open_database(conninfo) as made:
        yield made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a fresh RECONSENT_HOME."""
    return tmp_path / "home"
