"""What is installed: extras, the rooms that a client takes, and the size of files and functions."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

import pytest

from reconsent import config
from tests.docs import ROOT

SERVICES: Final = ROOT / "services" / "reconsent"
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: Final = PROJECT["optional-dependencies"]
LONGEST_FILE: Final = 300
LONGEST_FUNCTION: Final = 40
PARTS: Final = {"psycopg_pool", "pydantic_core", "python_http_client"}
"""Modules of packages that a declared one pins or brings on request, and shows in its own API."""
REASON: Final = re.compile(r"^# Over 300 lines: \S.*$", re.MULTILINE)

sources = pytest.mark.parametrize(
    "path",
    sorted(SERVICES.rglob("*.py")),
    ids=lambda path: path.relative_to(SERVICES).as_posix(),
)


def _run(code: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"RECONSENT_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


# ---------------------------------------------------------------------- extras


@pytest.mark.parametrize(
    ("command", "setting", "value", "line"),
    [
        ("status", "KAFKA_BOOTSTRAP_SERVERS", "localhost:9092",
         "KAFKA_BOOTSTRAP_SERVERS: needs kafka and crc32c: pip install 'reconsent[kafka]'"),
        ("topics check", "KAFKA_BOOTSTRAP_SERVERS", "localhost:9092",
         "KAFKA_BOOTSTRAP_SERVERS: needs kafka and crc32c: pip install 'reconsent[kafka]'"),
        ("run dispatcher", "MAIL_URL", "sendgrid://",
         "MAIL_URL=sendgrid://: needs sendgrid: pip install 'reconsent[sendgrid]'"),
        ("run web", "SENDGRID_WEBHOOK_KEY", "key",
         "SENDGRID_WEBHOOK_KEY: needs sendgrid: pip install 'reconsent[sendgrid]'"),
        ("demo", "MAIL_FROM", "", "reconsent demo: needs httpx: pip install 'reconsent[demo]'"),
    ],
)  # fmt: skip
def test_a_missing_extra_is_one_line(
    tmp_path: Path, command: str, setting: str, value: str, line: str
) -> None:
    """Without a package that a setting needs, a command says what to type and exits with 2."""
    code = f"""
import sys
absent = ["crc32c", "httpx", "kafka", "python_http_client", "sendgrid"]
sys.modules.update(dict.fromkeys(absent))
sys.argv = ["reconsent", *{command.split()!r}]
from reconsent.cli.main import main
main()
"""
    ended = _run(code, tmp_path, **{setting: value})
    assert (ended.returncode, ended.stderr) == (2, f"reconsent: {line}\n")


def test_extras_are_what_the_settings_ask_for() -> None:
    """config.py and pyproject.toml have the same extras; `all` has each of them."""
    named = EXTRAS.keys() - {"all", "dev"}
    assert {extra for extra in named if EXTRAS[extra]} == set(config.EXTRAS)
    [everything] = EXTRAS["all"]
    assert set(everything.removeprefix("reconsent[").removesuffix("]").split(",")) == named


def test_every_extra_is_locked() -> None:
    """`make setup` installs each extra, so that the whole program can be tested."""
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    packages = set(re.findall(r"^([\w-]+)==", lock, re.MULTILINE))
    wanted = {
        re.split(r"[<>=\[]", one)[0]
        for extra, needed in EXTRAS.items()
        if extra != "all"
        for one in (*needed, *PROJECT["dependencies"])
    }
    assert {name.lower() for name in wanted} <= packages


def test_every_import_is_declared() -> None:
    """Nothing is imported that is installed only because another package needs it."""
    named = {
        name.partition(".")[0]
        for path in SERVICES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in _imported(node)
    }
    declared = {
        re.split(r"[<>=\[]", one)[0].lower()
        for extra, needed in {**EXTRAS, "": PROJECT["dependencies"]}.items()
        if extra not in {"all", "dev"}
        for one in needed
    }
    packages = packages_distributions()
    undeclared = {
        name
        for name in named - sys.stdlib_module_names - {"reconsent"}
        if not {package.lower().replace("_", "-") for package in packages[name]} & declared
    }
    assert undeclared == PARTS


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


# ---------------------------------------------------------------------- a client's rooms


def test_commands_start_without_the_words_of_mails_and_pages(tmp_path: Path) -> None:
    """Translations, templates and languages are loaded by the commands that need them."""
    unwanted = {"babel", "jinja2", "langcodes", "markdown_it", "reconsent.words.translation"}
    code = f"import reconsent.cli.main, sys; print(*sorted({unwanted!r} & sys.modules.keys()))"
    ended = _run(code, tmp_path)
    assert (ended.stdout.split(), ended.stderr) == ([], "")


@pytest.mark.parametrize("room", ["domain", "files", "bus/kafka"])
def test_a_client_needs_no_web_server_and_no_database(tmp_path: Path, room: str) -> None:
    """The rooms for reconsent-client import none of them."""
    modules = [
        ".".join(path.relative_to(ROOT / "services").with_suffix("").parts)
        for path in (SERVICES / room).rglob("*.py")
        if path.stem != "__init__"
    ]
    unwanted = {"psycopg", "psycopg_pool", "fastapi", "starlette", "uvicorn", "jinja2", "sendgrid"}
    code = f"""
import importlib, sys
for name in {sorted(modules)!r}:
    importlib.import_module(name)
print(*sorted({unwanted!r} & sys.modules.keys()))
"""
    ended = _run(code, tmp_path)
    assert (ended.stdout.split(), ended.stderr) == ([], "")


# ---------------------------------------------------------------------- size


@sources
def test_files_are_short(path: Path) -> None:
    """No file is over 300 lines unless it says why."""
    text = path.read_text("utf-8")
    assert text.count("\n") <= LONGEST_FILE or REASON.search(text)


@sources
def test_functions_are_short(path: Path) -> None:
    """No function is over 40 lines."""
    long = {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    }
    assert not long
