"""Without the database every command ends with one line."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click
import pytest
from typing_extensions import override

from reconsent.cli.main import cli, run
from reconsent.config import settings
from reconsent.facts.read import notices
from reconsent.program import Program
from tests.chaos.people import asked
from tests.integration.taken import SECRET, TOKEN, Taken, environment, opened

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
POLICY: Final = str(EXAMPLES / "campaigner" / "2014-03.yaml")
ACCOUNTS: Final = str(EXAMPLES / "people" / "accounts.ndjson")
REPORT: Final = str(Path(__file__).parent / "report.eml")
ACCOUNT: Final = ["ann", "--property", "shop.example"]
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
    with environment(taken, tmp_path, monkeypatch, caplog):
        yield


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
