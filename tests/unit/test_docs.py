"""The docs say what is: commands, settings, events, states, rules and links agree with the code."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any, get_args

import click
import pytest
import yaml
from typing_extensions import override

from reconsent.cli.explain_words import SUPPRESSED
from reconsent.cli.main import cli
from reconsent.config import settings
from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import STRUCTURED, read
from reconsent.domain.event import TOPICS, parse
from reconsent.domain.notice import State
from reconsent.domain.permission import Reason
from reconsent.domain.policy import PolicyVersion
from reconsent.facts.read.permissions import Check
from reconsent.web.programs import api
from tests.docs import HOW_TO_REWRITE, ROOT, RULES, with_cases
from tests.routes import routes

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
INTERFACES = ROOT / "docs" / "interfaces.md"
OPERATING = ROOT / "docs" / "operating.md"
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def _section(page: Path, heading: str) -> str:
    """Return what stands under a heading, up to the next one of its level or a higher one."""
    level = heading.partition(" ")[0]
    _, found, rest = page.read_text("utf-8").partition(f"\n{heading}\n")
    assert found, f"{page.name} has no heading {heading!r}"
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def _first_cells(text: str) -> list[str]:
    """Return the code spans in the first column of the tables in a text."""
    firsts = [row.split(" | ")[0] for row in re.findall(r"^\| (?=`)(.*)$", text, re.MULTILINE)]
    return [span for cell in firsts for span in re.findall(r"`([^`]+)`", cell)]


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


def _command_lines(page: Path) -> Iterator[str]:
    """Yield the commands of the shell examples and transcripts, their variables filled in."""
    text = page.read_text("utf-8")
    typed = "\n".join(_blocks(text, "sh")).replace("\\\n", " ")
    shown = "\n".join(_blocks(text, "console")).replace("\\\n", " ")
    typed += "".join(f"\n{line}" for line in re.findall(r"^\$ (.+)$", shown, re.MULTILINE))
    variables = dict(re.findall(r'^(\w+)="([^"]*)"$', typed, re.MULTILINE))
    for line in typed.splitlines():
        for part in re.split(r"[;|&<>]|\bdo\b", Template(line).safe_substitute(variables)):
            if re.match(r"\s*reconsent\s", part):
                yield part.strip()


def _resolved(words: list[str]) -> tuple[click.Command, list[str]]:
    """Find the command that words name; what is left are its options and arguments."""
    command: click.Command = cli
    while words and isinstance(command, click.Group) and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pages
def test_commands_can_be_typed_as_they_stand(page: Path) -> None:
    """Each command of an example exists, and takes the options and arguments that it is given."""
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
    table = _section(INTERFACES, "## Commands").partition("\n### ")[0]
    documented = [span.removeprefix("reconsent ") for span in _first_cells(table)]
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
    text = "\n".join(_blocks(page.read_text("utf-8"), "sh"))
    for module, name in re.findall(r"from (reconsent[\w.]*) import (\w+)", text):
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


# ---------------------------------------------------------------------- settings


class _Noting(dict[str, str]):
    """An environment that notes which of its names are asked for."""

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
    section = _section(INTERFACES, "## Environment")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(environment.asked)
    defaults = {name: default.strip("`") for name, default in rows}
    assert defaults["PUBLIC_URL"] == read_.public_url
    assert defaults["RECONSENT_LISTEN"] == ":".join(map(str, read_.listen))
    assert defaults["MAIL_FROM"] == read_.mail_from
    assert defaults["MAIL_URL"] == read_.mail_url


# ---------------------------------------------------------------------- shapes


@pytest.mark.parametrize("topic", TOPICS)
def test_example_events_are_events(topic: str) -> None:
    """Each topic has an example, which the program would take; so has its type and its key."""
    section = _section(INTERFACES, f"### {topic}")
    examples = [json.loads(block) for block in _blocks(section, "json")]
    assert examples
    for example in examples:
        if "specversion" in example:
            value = json.dumps(example).encode()
            headers = (("content-type", STRUCTURED),)
            assert read(Message(topic, None, value, headers, NOON)).topic == topic
        else:
            parse(topic, json.dumps(example).encode())
    assert f"| `{topic}` | `{TOPICS[topic].type}` |" in INTERFACES.read_text("utf-8")


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if topic != "policy-versions"])
def test_example_events_show_every_field(topic: str) -> None:
    """The bare example of a topic has all fields that the topic's data may have, and no others."""
    bare = json.loads(_blocks(_section(INTERFACES, f"### {topic}"), "json")[0])
    fields = {field.alias or name for name, field in TOPICS[topic].model.model_fields.items()}
    assert bare.keys() == fields


def test_the_example_policy_is_a_policy() -> None:
    """The policy file that is shown is well formed, and its keys are explained."""
    section = _section(INTERFACES, "## The policy file")
    (example,) = _blocks(section, "yaml")
    version = PolicyVersion.model_validate(yaml.safe_load(example))
    explained = set(_first_cells(section))
    notice = {f"notice.{name}" for name in type(version.notice).model_fields}
    assert explained == (set(PolicyVersion.model_fields) - {"notice"}) | notice


def test_the_example_of_a_permission_check_is_one() -> None:
    """What is shown of the API is what it takes and answers."""
    request = json.loads(_blocks(_section(INTERFACES, "## HTTP"), "json")[0])
    assert api.Checks.model_validate(request).checks
    answer = json.loads(_blocks(_section(INTERFACES, "### Asking for permission"), "json")[0])
    asked = {"allowed", "reason", "suppression", "evidence"}
    assert answer.keys() - asked == set(Check.model_fields)


_NOT_DOCUMENTED = ("/", "/static/site.css")
"""Where the pages begin, and what they look like."""


def test_every_page_and_call_is_documented() -> None:
    """The table of paths has those that the program serves, with their methods, and no others."""
    section = _section(INTERFACES, "## HTTP")
    documented = set(re.findall(r"^\| (GET|POST) \| `([^`]+)`", section, re.MULTILINE))
    documented |= {("GET", path) for path in re.findall(r"`(/mailbox/[^`]+)`", section)}
    served = {
        (method, route.path)
        for route in routes()
        for method in route.methods or ()
        if method != "HEAD" and route.path not in _NOT_DOCUMENTED
    }
    assert documented == served


# ---------------------------------------------------------------------- words


def test_reasons_and_states_are_explained() -> None:
    """Each reason of a permission, each state of a notice, and each suppression is explained."""
    reasons = _first_cells(_section(INTERFACES, "### Asking for permission"))
    assert sorted(reasons) == sorted(get_args(Reason))
    section = _section(OPERATING, "## Notice states")
    assert sorted(_first_cells(section)) == sorted(get_args(State))
    listed = section.partition("Reasons for `suppressed`:")[2].partition("What became")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == set(SUPPRESSED)


def test_dependencies_are_explained() -> None:
    """ARCHITECTURE.md explains each dependency, with the range that pyproject.toml gives it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    section = _section(ROOT / "ARCHITECTURE.md", "## Dependencies")
    row = r"^((?:\| \w+ )?)\| (\S+) \| `(\S+)` \| .+ \| .+ \|$"
    rows = [
        (extra.strip("| "), f"{name}{range_}")
        for extra, name, range_ in re.findall(row, section, re.MULTILINE)
    ]
    declared = [("", one) for one in project["dependencies"]]
    declared += [
        (extra, one)
        for extra, needed in optional.items()
        if extra not in {"all", "dev"}
        for one in needed
    ]
    assert sorted(rows) == sorted(declared)


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
    """No line tells on what machine it was written."""
    for line in page.read_text("utf-8").splitlines():
        assert not re.search(r"(?<![\w.])/(work|tmp|root|home|Users|mnt)\b", line), line
