"""A database that cannot be used is one line and exit 3; a role that owns nothing can run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, LiteralString
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from reconsent.bus.postgres import PostgresConsumer
from reconsent.cli.main import run
from reconsent.config import settings
from reconsent.domain.errors import OutsideError
from reconsent.program import Program
from reconsent.store.leases import Lease, SoleRight
from reconsent.store.migrations import migrate
from reconsent.store.postgres import connect, open_database
from reconsent.workers.intake import GROUP
from tests.chaos.people import asked
from tests.integration.test_database_gone import ACCOUNT, COMMANDS

OPERATING: Final = Path(__file__).parents[3] / "docs" / "operating.md"
# `up` never ends, and the demo has a database of its own.
TRIED: Final = [command for command in COMMANDS if command not in {"up", "demo"}]
PERMIT: Final = ["permit", *ACCOUNT, "--category", "user.contact", "--use", "marketing"]


class Server:
    """The tests' server, by its administrator."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.owner = str(conninfo_to_dict(server)["user"])
        self._names: list[str] = []

    def run(self, command: LiteralString, *names: str, dbname: str = "postgres") -> None:
        """Run a command as the administrator; `{}` are names."""
        admin = make_conninfo(self._server, user="postgres", dbname=dbname)
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(SQL(command).format(*map(Identifier, names)))

    def role(self) -> str:
        """Create a role that may do nothing."""
        name = f"role_{uuid4().hex[:12]}"
        self.run("CREATE ROLE {} LOGIN", name)
        return name

    def database(self, more: LiteralString = "") -> str:
        """Create a database of the tests' role; return its conninfo."""
        name = f"test_{uuid4().hex[:12]}"
        self.run("CREATE DATABASE {} OWNER {} TEMPLATE template0 " + more, name, self.owner)
        return make_conninfo(self._server, dbname=name)


@pytest.fixture(scope="module")
def admin(server: str) -> Server:
    """Return the server."""
    return Server(server)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Return a function that lets commands use a database."""

    def used(conninfo: str) -> None:
        for name, value in {
            "RECONSENT_HOME": str(tmp_path),
            "DATABASE_URL": conninfo,
            "RECONSENT_SECRET": "secret",
            "RECONSENT_API_TOKEN": "token",
            "RECONSENT_LISTEN": "127.0.0.1:0",
        }.items():
            monkeypatch.setenv(name, value)

    return used


def complaint(
    arguments: list[str], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> str:
    """Run a command that must end with exit code 3 and one line; return the line."""
    caplog.clear()
    capsys.readouterr()
    code = run(arguments, Program)
    shown = capsys.readouterr().err.splitlines()
    shown += [record.getMessage() for record in caplog.records]
    assert code == 3, shown
    [line] = shown
    return line


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "WIN1252", "EUC_JP"])
def test_another_encoding_is_refused(
    admin: Server,
    use: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    encoding: LiteralString,
) -> None:
    """Nothing is created, and no answer is given."""
    conninfo = admin.database(f"ENCODING '{encoding}' LOCALE 'C'")
    use(conninfo)
    for arguments in (PERMIT, ["migrate"], ["up"], ["emit", "accounts", *_emitted()]):
        line = complaint(arguments, capsys, caplog)
        assert f"its encoding is {encoding}" in line
    with psycopg.connect(conninfo) as connection:
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert connection.execute(tables).fetchone() == (0,)


def _emitted() -> list[str]:
    return COMMANDS["emit"][1:]


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


@pytest.mark.parametrize("command", TRIED)
def test_a_database_that_only_reads_is_told_in_one_line(
    make_database: Callable[[], str],
    use: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    command: str,
) -> None:
    """What has to write ends with exit 3; what only reads still answers."""
    conninfo = make_database()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        name = Identifier(_name(conninfo))
        connection.execute(
            SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name)
        )
    use(conninfo)
    caplog.clear()
    if run([*command.split(), *COMMANDS[command]], Program) == 3:
        shown = capsys.readouterr().err.splitlines()
        [line] = shown + [record.getMessage() for record in caplog.records]
        assert "read-only transaction" in line
    else:
        assert command not in {"run", "policy publish", "import", "emit"}


def test_leases_that_cannot_be_taken_are_told_in_one_line(
    admin: Server, make_database: Callable[[], str]
) -> None:
    """Without rights on their table, neither a sender nor a planner nor a consumer begins."""
    conninfo = make_conninfo(make_database(), user=admin.role())
    with pytest.raises(OutsideError, match=r"^database: permission denied"):
        Lease(conninfo)
    with pytest.raises(OutsideError, match=r"^database: permission denied"):
        SoleRight(conninfo, "planner").take()
    with pytest.raises(OutsideError, match=r"^bus: permission denied"):
        PostgresConsumer(partial(connect, conninfo, autocommit=True), GROUP)


def test_too_many_connections_are_told_in_one_line(
    admin: Server,
    make_database: Callable[[], str],
    use: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also where the limit is reached only while the program runs."""
    conninfo = make_database()
    use(conninfo)
    with open_database(conninfo, size=2) as database, database.connection():
        admin.run("ALTER DATABASE {} CONNECTION LIMIT 1", _name(conninfo))
        database.patience = 0.2
        with pytest.raises(OutsideError, match=r"database: .*too many connections"):
            database.transaction(lambda connection: database.transaction(lambda _: connection))
        assert "too many connections" in complaint(PERMIT, capsys, caplog)


@pytest.mark.parametrize(
    "state", ["53100", "53200", "53300", "57P01", "58030", "XX001", "XX000", "42501", "25006"]
)
def test_what_is_no_bug_of_ours_is_outside(
    make_database: Callable[[], str], state: LiteralString
) -> None:
    """A full disk, a lack of memory, damage, a lost right: an OutsideError of one line."""
    raising = f"DO $$ BEGIN RAISE 'what happened' USING ERRCODE = '{state}'; END $$"
    with (
        open_database(make_database(), size=1) as database,
        pytest.raises(OutsideError, match=r"^database: what happened$"),
    ):
        database.transaction(lambda connection: connection.execute(raising))


def test_a_bug_is_never_an_answer(
    use: Callable[[str], None],
    make_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An error that nobody foresaw shows its traceback and exits with 3: 1 would say denied."""
    use(make_database())

    def broken(_: Program) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(Program, "database", property(broken))
    assert run(PERMIT, Program) == 3
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert re.search("KeyError: 'lost'$", shown.strip())


def test_the_connection_is_in_utf_8(make_database: Callable[[], str]) -> None:
    """What a role sets as its own encoding does not matter."""
    conninfo = make_database()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(
            SQL("ALTER DATABASE {} SET client_encoding = 'LATIN1'").format(
                Identifier(_name(conninfo))
            )
        )
    with connect(conninfo) as connection:
        assert connection.execute("SELECT '雪'").fetchone() == ("雪",)
