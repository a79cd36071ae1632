"""The docs agree with the code: rules, commands, settings and links."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import click
import pytest
from typing_extensions import override

from reconsent.cli.main import cli
from reconsent.config import settings
from tests.docs import HOW_TO_REWRITE, ROOT, RULES, with_cases
from tests.markdown import INTERFACES, PAGES, blocks, first_cells, section

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


# ---------------------------------------------------------------------- cases


def test_the_cases_are_shown_as_they_are_tried() -> None:
    """docs/rules.md shows the cases that tests/cases/rules.yaml has, word for word."""
    page = RULES.read_text("utf-8")
    assert page == with_cases(page), f"the cases have changed; type: {HOW_TO_REWRITE}"


def test_every_rule_that_is_cited_is_there() -> None:
    """Rules 1 to 29 have a heading each, in this order; no page and no answer cites another."""
    numbers = re.findall(r"^### Rule (\d+)\. ", RULES.read_text("utf-8"), re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, 30))
    code = [*ROOT.glob("services/**/*.py"), *PAGES]
    cited = {
        int(number)
        for path in code
        for number in re.findall(r"\b[Rr]ule[ =](\d+)", path.read_text("utf-8"))
    }
    assert cited
    assert cited <= set(range(1, 30))


# ---------------------------------------------------------------------- commands


def test_what_comes_next_is_shown_as_it_is_printed() -> None:
    """Transcripts end a publication with the same next command as the program."""
    told = {
        line
        for page in PAGES
        for line in re.findall(r"^next: .+$", page.read_text("utf-8"), re.MULTILINE)
    }
    assert told
    publishing = importlib.import_module("reconsent.cli.policy_publish")
    assert all(line in inspect.getsource(publishing) for line in told)


def _command_lines(page: Path) -> Iterator[str]:
    """Yield the commands of the shell examples and transcripts, their variables filled in."""
    text = page.read_text("utf-8")
    typed = "\n".join(blocks(text, "sh")).replace("\\\n", " ")
    shown = "\n".join(blocks(text, "console")).replace("\\\n", " ")
    typed += "".join(f"\n{line}" for line in re.findall(r"^\$ (.+)$", shown, re.MULTILINE))
    variables = dict(re.findall(r'^(\w+)="([^"]*)"$', typed, re.MULTILINE))
    for line in typed.splitlines():
        for part in re.split(r"[;|&<>]|\bdo\b", Template(line).safe_substitute(variables)):
            if re.match(r"\s*reconsent\s", part):
                yield part.strip()


def _resolved(words: list[str]) -> tuple[click.Command, list[str]]:
    """Find the command that the words name; return the remaining words too."""
    command: click.Command = cli
    while words and isinstance(command, click.Group) and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pages
def test_commands_can_be_typed_as_shown(page: Path) -> None:
    """Each command of an example exists, and accepts its options and arguments."""
    for line in _command_lines(page):
        command, rest = _resolved(shlex.split(line, comments=True)[1:])
        assert not isinstance(command, click.Group), f"{line}: no such command"
        try:
            command.make_context("reconsent", rest)
        except click.UsageError as error:
            pytest.fail(f"{line}: {error.format_message()}")


@pages
def test_commands_that_are_mentioned_exist(page: Path) -> None:
    """A command in the running text exists, with the options that are named along with it."""
    spans = re.findall(r"`reconsent\s+([^`]+)`", page.read_text("utf-8"))
    for span in spans:
        words = [word.strip("[]") for word in span.split()]
        command, rest = _resolved(words)
        known = {option for param in command.params for option in param.opts} | {"--help"}
        unknown = {word for word in rest if word.startswith("-")} - known - {"-"}
        assert command is not cli or words[0] == "COMMAND", f"reconsent {span}: no such command"
        assert not unknown, f"reconsent {span}: has no {sorted(unknown)}"


def test_every_command_is_documented() -> None:
    """The table of commands has each command of the program, and options that it has."""
    table = section(INTERFACES, "## Commands").partition("\n### ")[0]
    documented = [span.removeprefix("reconsent ") for span in first_cells(table)]
    assert sorted(documented) == sorted(_leaves(cli))
    for row in re.findall(r"^\| `reconsent ([^`]+)` \| (.*) \|$", table, re.MULTILINE):
        command, _ = _resolved(row[0].split())
        options = set(re.findall(r"`(--[a-z-]+)`", row[1]))
        assert options <= {option for param in command.params for option in param.opts}, row[0]


def _leaves(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _leaves(command, f"{before}{name} ")
        else:
            yield before + name


@pages
def test_python_that_is_shown_can_be_imported(page: Path) -> None:
    """Each import of ours in an example finds its module and its name."""
    text = "\n".join(blocks(page.read_text("utf-8"), "sh"))
    for module, name in re.findall(r"from (reconsent[\w.]*) import (\w+)", text):
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


# ---------------------------------------------------------------------- settings


class _Noting(dict[str, str]):
    """An environment that records which of its names are read."""

    def __init__(self, **names: str) -> None:
        super().__init__(names)
        self.asked: set[str] = set()

    @override
    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def test_the_environment_is_documented(tmp_path: Path) -> None:
    """The table of settings has exactly the names that are read, with their defaults."""
    environment = _Noting(RECONSENT_HOME=str(tmp_path))
    read_ = settings(environment)
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \|", section(INTERFACES, "## Environment"), re.MULTILINE
    )
    assert sorted(name for name, _ in rows) == sorted(environment.asked)
    defaults = {name: default.strip("`") for name, default in rows}
    assert defaults["PUBLIC_URL"] == read_.public_url
    assert defaults["RECONSENT_LISTEN"] == ":".join(map(str, read_.web.listen))
    assert defaults["MAIL_FROM"] == read_.mail_from
    assert defaults["MAIL_URL"] == read_.mail_url


# ---------------------------------------------------------------------- links


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of the project, or to a heading in one, finds it."""
    text = page.read_text("utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(
        r'(?:src|srcset|href)="([^"]+)"', text
    )
    for link in links:
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link}: leads nowhere"
        assert not anchor or anchor in _anchors(target), f"{link}: no such heading"


@pages
def test_paths_that_are_named_exist(page: Path) -> None:
    """A path below one of the project's folders is there."""
    below = r"`((?:services|schemas|templates|tests|docs|examples)/[\w./-]+)`"
    for path in re.findall(below, page.read_text("utf-8")):
        assert (ROOT / path).exists(), f"{path}: is not there"


@pages
def test_no_machine_is_named(page: Path) -> None:
    """No line has a path of the machine that it was written on."""
    for line in page.read_text("utf-8").splitlines():
        assert not re.search(r"(?<![\w.])/(work|tmp|root|home|Users|mnt)\b", line), line
