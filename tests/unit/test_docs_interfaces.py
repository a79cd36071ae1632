"""The docs agree with the code: events, policy files, pages, reasons, states, dependencies."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, datetime
from typing import get_args

import click
import pytest
import yaml

from reconsent.cli.explain_words import SUPPRESSED
from reconsent.cli.main import cli
from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import STRUCTURED, read
from reconsent.domain.event import TOPICS, parse
from reconsent.domain.notice import State
from reconsent.domain.permission import Reason
from reconsent.domain.policy import PolicyVersion
from reconsent.facts.read.checks import Check
from reconsent.web.programs import api
from tests.docs import ROOT
from tests.markdown import INTERFACES, OPERATING, blocks, first_cells, section
from tests.routes import routes

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def test_what_is_not_there_yet_is_not_there() -> None:
    """Each line names a command, with an option, or a page that the program does not have."""
    lines = re.findall(r"^- .*\(`([^`]+)`\)\.$", section(INTERFACES, "## Not yet"), re.MULTILINE)
    assert len(lines) == section(INTERFACES, "## Not yet").count("\n- ")
    pages = {re.sub(r"\{\w+\}", "X", route.path) for route in routes()}
    for line in lines:
        if line.startswith("/"):
            assert re.sub(r"[A-Z]+", "X", line) not in pages, line
        else:
            assert not _is_there(line.split()), line


def _is_there(words: list[str]) -> bool:
    command: click.Command = cli
    for word in words:
        if word.startswith("-"):
            return any(word in param.opts for param in command.params)
        if not isinstance(command, click.Group) or word not in command.commands:
            return False
        command = command.commands[word]
    return True


@pytest.mark.parametrize("topic", TOPICS)
def test_example_events_are_events(topic: str) -> None:
    """Each topic has a valid example, and the table names its type."""
    text = section(INTERFACES, f"### {topic}")
    examples = [json.loads(block) for block in blocks(text, "json")]
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
    bare = json.loads(blocks(section(INTERFACES, f"### {topic}"), "json")[0])
    fields = {field.alias or name for name, field in TOPICS[topic].model.model_fields.items()}
    assert bare.keys() == fields


def test_the_example_policy_is_a_policy() -> None:
    """The policy file that is shown is well formed, and its keys are explained."""
    text = section(INTERFACES, "## The policy file")
    (example,) = blocks(text, "yaml")
    version = PolicyVersion.model_validate(yaml.safe_load(example))
    explained = set(first_cells(text))
    notice = {f"notice.{name}" for name in type(version.notice).model_fields}
    assert explained == (set(PolicyVersion.model_fields) - {"notice"}) | notice


def test_the_example_of_a_permission_check_is_valid() -> None:
    """The example has the fields of the API's request and response."""
    request = json.loads(blocks(section(INTERFACES, "## HTTP"), "json")[0])
    assert api.Checks.model_validate(request).checks
    answer = json.loads(blocks(section(INTERFACES, "### Asking for permission"), "json")[0])
    asked = {"allowed", "reason", "suppression", "evidence"}
    assert answer.keys() - asked == set(Check.model_fields)


_NOT_DOCUMENTED = ("/", "/static/site.css")
"""Where the pages begin, and what they look like."""


def test_every_page_and_call_is_documented() -> None:
    """The table of paths has those that the program serves, with their methods, and no others."""
    text = section(INTERFACES, "## HTTP")
    documented = set(re.findall(r"^\| (GET|POST) \| `([^`]+)`", text, re.MULTILINE))
    documented |= {("GET", path) for path in re.findall(r"`(/mailbox/[^`]+)`", text)}
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
    reasons = first_cells(section(INTERFACES, "### Asking for permission"))
    assert sorted(reasons) == sorted(get_args(Reason))
    text = section(OPERATING, "## Notice states")
    assert sorted(first_cells(text)) == sorted(get_args(State))
    listed = text.partition("Reasons for `suppressed`:")[2].partition("What became")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == set(SUPPRESSED)


def test_dependencies_are_explained() -> None:
    """ARCHITECTURE.md explains each dependency, with the range that pyproject.toml gives it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    text = section(ROOT / "ARCHITECTURE.md", "## Dependencies")
    row = r"^((?:\| \w+ )?)\| (\S+) \| `(\S+)` \| .+ \| .+ \|$"
    rows = [
        (extra.strip("| "), f"{name}{range_}")
        for extra, name, range_ in re.findall(row, text, re.MULTILINE)
    ]
    declared = [("", one) for one in project["dependencies"]]
    declared += [
        (extra, one)
        for extra, needed in optional.items()
        if extra not in {"all", "dev"}
        for one in needed
    ]
    assert sorted(rows) == sorted(declared)
