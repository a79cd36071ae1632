"""Without the database every command ends with one line, and every page and call is 503."""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import click
import httpx
import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from typing_extensions import override

from reconsent.cli.main import cli, run
from reconsent.config import settings
from reconsent.domain.signing import Signer
from reconsent.facts.read import notices
from reconsent.program import Program
from reconsent.web.access import HEADERS
from tests.chaos.people import asked
from tests.embedded_programs import wait_until
from tests.routes import routes
from tests.stand_ins.sendgrid_webhook import Signing

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
POLICY: Final = str(EXAMPLES / "campaigner" / "2014-03.yaml")
ACCOUNTS: Final = str(EXAMPLES / "people" / "accounts.ndjson")
REPORT: Final = str(Path(__file__).parent / "report.eml")
ACCOUNT: Final = ["ann", "--property", "shop.example"]
SECRET: Final = "secret of the tests"
TOKEN: Final = "token of the tests"
PAGE: Final = 5

COMMANDS: Final[dict[str, list[str]]] = {
    "demo": ["--once", "--accounts", "1"],
    "up": [],
    "run": ["intake", "planner", "dispatcher", "scheduler", "relay", "--until-idle"],
    "migrate": [],
    "policy check": [POLICY],
    "policy preview": [POLICY],
    "policy publish": [POLICY],
    "policy list": [],
    "policy show": ["campaigner"],
    "release list": [],
    "release pause": ["campaigner", "v1"],
    "release resume": ["campaigner", "v1"],
    "release cancel": ["campaigner", "v1", "--yes"],
    "release resend": ["campaigner", "v1"],
    "import": ["accounts", ACCOUNTS],
    "emit": ["accounts", ACCOUNTS],
    "mail-report": [REPORT],
    "permit": [*ACCOUNT, "--category", "user.contact", "--use", "marketing"],
    "explain": ACCOUNT,
    "notices": [],
    "consents": ACCOUNT,
    "erasures": [],
    "addresses list": [],
    "addresses mark": ["ann@example.org", "--as", "bounced", "--reason", "x"],
    "addresses lift": ["ann@example.org", "--reason", "x"],
    "status": [],
    "dead-letters list": [],
    "dead-letters show": ["accounts:0:0"],
    "dead-letters retry": ["--all"],
    "dead-letters discard": ["--all", "--yes"],
    "dead-letters accept": ["accounts"],
}
NO_DATABASE: Final = {"policy diff", "topics create", "topics check"}

NOTICE: Final = UUID(int=7)
SIGNING: Final = Signing()
TOKENS: Final = {
    "/c": Signer(SECRET).token(NOTICE, "choose"),
    "/u": Signer(SECRET).token(NOTICE, "unsubscribe"),
}
BODIES: Final[dict[str, bytes]] = {
    "/c/{token}": b"all=allow",
    "/c/{token}/answers": b"all=allow",
    "/u/{token}": b"List-Unsubscribe=One-Click",
    "/u/{token}/again": b"",
    "/v1/permissions": json.dumps(
        {
            "checks": [
                {
                    "property": "shop.example",
                    "account": "ann",
                    "data_category": "user.contact",
                    "data_use": "marketing",
                }
            ]
        }
    ).encode(),
    "/hooks/sendgrid": json.dumps(
        [
            {
                "event": "delivered",
                "email": "ann@example.org",
                "timestamp": 1_800_000_000,
                "sg_event_id": "one",
                "reconsent_notice": str(NOTICE),
            }
        ]
    ).encode(),
}
ANSWERED_WITHOUT: Final = {
    "/", "/static/site.css", "/healthz", "/mailbox", "/mailbox/{mail}", "/mailbox/{mail}/html",
}  # fmt: skip


_STARTING = """
SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND datid IS NULL
"""
_END = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s"


class Taken:
    """A database that can be taken away and given back."""

    def __init__(self, conninfo: str, server: str) -> None:
        self.conninfo = conninfo
        self._name = str(psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"])
        self._admin = psycopg.conninfo.make_conninfo(server, user="postgres", dbname="postgres")

    def take_away(self) -> None:
        """End every connection and refuse new ones."""
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(self._allow("false"))
            # One that is just starting may have been let in already, and has no database yet.
            while (
                connection.execute(_STARTING).rowcount
                + connection.execute(_END, (self._name,)).rowcount
            ):
                pass

    def give_back(self) -> None:
        """Allow connections again."""
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(self._allow("true"))

    @contextmanager
    def away(self) -> Iterator[None]:
        """Take it away while the block runs."""
        self.take_away()
        try:
            yield
        finally:
            self.give_back()

    def _allow(self, allowed: str) -> psycopg.sql.Composed:
        command = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        return command.format(Identifier(self._name), SQL(allowed))


@pytest.fixture(scope="module")
def taken(make_database: Callable[[], str], server: str) -> Taken:
    """Return a database that can be taken away."""
    return Taken(make_database(), server)


@pytest.fixture(autouse=True)
def _environment(
    taken: Taken,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[None]:
    for name, value in {
        "RECONSENT_HOME": str(tmp_path),
        "DATABASE_URL": taken.conninfo,
        "RECONSENT_SECRET": SECRET,
        "RECONSENT_API_TOKEN": TOKEN,
        "RECONSENT_LISTEN": "127.0.0.1:0",
        "SENDGRID_WEBHOOK_KEY": SIGNING.public_key,
    }.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.INFO)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextmanager
def opened() -> Iterator[Program]:
    """Yield a program that has used its database, with a short pool timeout."""
    with Program(settings()) as program:
        program.database.patience = 0.2
        # The pool connects in the background. A connection that is only just being made could
        # still get in while the others are cut.
        program.database.transaction(lambda connection: connection.execute("SELECT"))
        yield program


def commands(group: click.Group, above: str = "") -> Iterator[str]:
    """Yield every command's full name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{above}{name} ")
        else:
            yield above + name


def assert_one_line(
    code: int, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Assert that a command ended with an outside error and printed one line only."""
    # In a separate process the log goes to standard error.
    shown = capsys.readouterr().err.splitlines() + [
        record.getMessage() for record in caplog.records
    ]
    assert code == 3, shown
    assert len(shown) == 1, shown
    assert "database: " in shown[0] or "bus: " in shown[0]


def test_every_command_is_tried() -> None:
    """Every command has arguments here, or is listed as needing no database."""
    assert {*commands(cli)} == COMMANDS.keys() | NO_DATABASE


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_finds_no_database(
    taken: Taken,
    command: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If the database is unavailable at the start, a command ends with exit code 3 and one line."""
    with taken.away():
        code = run([*command.split(), *COMMANDS[command]], Program)
    assert_one_line(code, capsys, caplog)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loses_the_database(
    taken: Taken,
    command: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The same holds if the database becomes unavailable after it was opened."""
    with opened() as program, taken.away():
        code = run([*command.split(), *COMMANDS[command]], lambda _: program)
    assert_one_line(code, capsys, caplog)


class _Cutting(io.StringIO):
    """An output that takes the database away at the first write."""

    def __init__(self, taken: Taken) -> None:
        super().__init__()
        self._taken = taken

    @override
    def write(self, text: str) -> int:
        if not self.tell():
            self._taken.take_away()
        return super().write(text)


@pytest.fixture(scope="module")
def mailed(taken: Taken, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Plan notices for several pages of rows; return how many."""
    environment = {
        "RECONSENT_HOME": str(tmp_path_factory.mktemp("home")),
        "DATABASE_URL": taken.conninfo,
        "RECONSENT_SECRET": SECRET,
        "RECONSENT_API_TOKEN": TOKEN,
    }
    emails = [f"p{number}@example.org" for number in range(4 * PAGE)]
    with Program(settings(environment)) as program:
        asked(program.database, emails)
    return len(emails)


def test_a_listing_is_cut_off(
    taken: Taken,
    mailed: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A listing that loses the database midway ends with exit code 3 and one line as well."""
    monkeypatch.setattr(notices, "_FIRST_PAGE", PAGE)
    monkeypatch.setattr(notices, "_PAGE", PAGE)
    output = _Cutting(taken)
    with opened() as program:
        monkeypatch.setattr(sys, "stdout", output)
        try:
            code = run(["notices"], lambda _: program)
        finally:
            taken.give_back()
    assert_one_line(code, capsys, caplog)
    assert 0 < len(output.getvalue().splitlines()) < mailed


def test_every_route_answers(taken: Taken) -> None:
    """Without a database every route that needs it is 503, with the security headers."""
    with opened() as program:
        web = program.web()
        web.start()
        url = f"http://127.0.0.1:{web.port}"
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            with taken.away():
                answers = dict(_answers(client))
            for (method, path), answer in answers.items():
                status = answer.status_code
                assert (status == 503) == (path not in ANSWERED_WITHOUT), (method, path, status)
                assert status == 503 or status < 500, (method, path, status)
                assert HEADERS.items() <= _shown(answer).items(), (method, path)
            wait_until(lambda: client.get("/readyz").status_code == 200)


def _answers(client: httpx.Client) -> Iterator[tuple[tuple[str, str], httpx.Response]]:
    for route in routes():
        for method in sorted(route.methods or ()):
            body = None if method in {"GET", "HEAD"} else BODIES[route.path]
            yield (
                (method, route.path),
                client.request(
                    method, _url(route.path), content=body, headers=_headers(route.path, body)
                ),
            )


def _shown(answer: httpx.Response) -> dict[str, str]:
    return {name: answer.headers.get(name, "") for name in HEADERS}


def _url(path: str) -> str:
    values: dict[str, Any] = {
        "token": TOKENS.get(path[:2]),
        "policy": "campaigner",
        "version": "v1",
        "name": "shop.example",
        "property_name": "shop.example",
        "account:path": "ann",
        "mail": "1",
    }
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", str(value))
    assert "{" not in path, "a value for the parameter is missing here"
    return path


def _headers(path: str, body: bytes | None) -> dict[str, str]:
    if path == "/hooks/sendgrid" and body is not None:
        return SIGNING.headers(body)
    return {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
