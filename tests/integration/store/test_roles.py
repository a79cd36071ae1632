"""Roles that lack rights get one line; a role that owns nothing can run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from reconsent.cli.main import run
from reconsent.config import settings
from reconsent.program import Program
from reconsent.store.migrations import migrate
from tests.chaos.people import asked
from tests.integration.store.servers import PERMIT, TRIED, Server, complaint
from tests.integration.test_database_gone import COMMANDS

OPERATING: Final = Path(__file__).parents[3] / "docs" / "operating.md"


@pytest.mark.parametrize("command", TRIED)
def test_a_role_without_rights_gets_one_line(
    admin: Server,
    make_database: Callable[[], str],
    use: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    command: str,
) -> None:
    """A role that may connect and nothing else: no command shows a traceback or says no."""
    use(make_conninfo(make_database(), user=admin.role()))
    line = complaint([*command.split(), *COMMANDS[command]], capsys, caplog)
    assert "permission denied" in line


def test_who_may_not_create_tables_is_told_who_may(
    admin: Server,
    make_empty: Callable[[], str],
    use: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The line names the role, the first migration that is missing, and what to run."""
    role = admin.role()
    conninfo = make_conninfo(make_empty(), user=role)
    use(conninfo)
    line = complaint(PERMIT, capsys, caplog)
    assert "0001_facts_and_notices.sql" in line
    assert role in line
    assert "`reconsent migrate` as the role that owns" in line
    admin.run("REVOKE USAGE ON SCHEMA public FROM PUBLIC", dbname=_name(conninfo))
    assert "as the role that owns" in complaint(PERMIT, capsys, caplog)


def _name(conninfo: str) -> str:
    return str(conninfo_to_dict(conninfo)["dbname"])


@pytest.fixture(scope="module")
def granted(admin: Server, make_empty: Callable[[], str]) -> str:
    """Return a database that its owner migrates, for a role with the grants of the manual."""
    conninfo, role = make_empty(), f"role_{uuid4().hex[:12]}"
    text = OPERATING.read_text("utf-8").partition("### A role that owns")[2]
    names = {"reconsent_run": role, "DATABASE reconsent": f"DATABASE {_name(conninfo)}"}
    names["ROLE reconsent "] = f"ROLE {admin.owner} "
    grants = text.partition("```sql\n")[2].partition("```")[0]
    for name, ours in names.items():
        assert name in grants
        grants = grants.replace(name, ours)
    admin.run("REVOKE ALL ON DATABASE {} FROM PUBLIC", _name(conninfo))
    admin.run("REVOKE ALL ON SCHEMA public FROM PUBLIC", dbname=_name(conninfo))
    admin.run(grants, dbname=_name(conninfo))
    migrate(conninfo)
    return make_conninfo(conninfo, user=role)


@pytest.fixture
def people(granted: str, use: Callable[[str], None]) -> Iterator[Program]:
    """Let the role plan and send a question to some people."""
    use(granted)
    with Program(settings()) as program:
        yield program


def test_a_role_that_owns_nothing_runs_everything(people: Program, granted: str) -> None:
    """With the grants of the manual it plans, mails, answers and reads every page and command."""
    asked(people.database, [f"p{number}@example.org" for number in range(20)])
    for command in TRIED:
        assert run([*command.split(), *COMMANDS[command]], Program) != 3, command
    assert run(["run", *COMMANDS["run"]], Program) == 0
    with psycopg.connect(granted) as connection:
        accepted = "SELECT count(*) FROM notices WHERE state = 'accepted'"
        assert connection.execute(accepted).fetchone() == (20,)
    web = people.web()
    web.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{web.port}", trust_env=False) as client:
        assert client.get("/readyz").json() == {"status": "ready"}
        metrics = client.get("/metrics", headers={"Authorization": "Bearer token"})
        assert metrics.is_success


def test_the_role_that_runs_cannot_change_what_it_runs_on(granted: str) -> None:
    """It makes no tables, and the triggers that keep the ledger are not its own."""
    for command in ("CREATE TABLE mine ()", "ALTER TABLE consents DISABLE TRIGGER ALL",
                    "TRUNCATE consents CASCADE", "DROP TABLE migrations"):  # fmt: skip
        with (
            psycopg.connect(granted) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(command)
