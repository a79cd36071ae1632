"""Every query has one module that runs it, a name that exists, and a sentence."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "services" / "reconsent"
SQL = PROGRAM / "store" / "sql"
FILES = sorted(str(path.relative_to(SQL).with_suffix("")) for path in SQL.rglob("*.sql"))
MODULES = sorted(PROGRAM.rglob("*.py"))
QUERY = re.compile(r"^-- :name (\w+)\n(.*?)(?=^-- :name |\Z)", re.MULTILINE | re.DOTALL)
_MAKES_NAMED = PROGRAM / "store" / "named.py"


def queries(file: str) -> dict[str, str]:
    """Return the queries of a file by their names."""
    found: list[tuple[str, str]] = QUERY.findall((SQL / f"{file}.sql").read_text("utf-8"))
    assert len(dict(found)) == len(found), file
    return dict(found)


def users(file: str) -> set[Path]:
    """Return the modules that a file's queries may be run by: the one of its name."""
    if file == "demo":
        return set((PROGRAM / "demo").glob("*.py"))
    if file == "bus":
        return {PROGRAM / "bus" / "postgres.py"}
    return {PROGRAM / room / f"{file}.py" for room in ("facts", "store")} & set(MODULES)


@cache
def used(module: Path) -> Sequence[tuple[str, str]]:
    """Return each (file, query) that a module runs; every name must be a constant."""
    tree = ast.parse(module.read_text("utf-8"))
    files: dict[str, str] = {}
    calls = 0
    for node in ast.walk(tree):
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Name(id="named"), args=[ast.Constant(value=str(file))]),
            ):
                files[name] = file
            case ast.Call(func=ast.Name(id="named")):
                calls += 1
    assert calls == len(files), f"{module}: named() is not assigned to a name"
    found: list[tuple[str, str]] = []
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(query))) if (
                name in files
            ):
                found.append((files[name], query))
    mentioned = sum(
        isinstance(node, ast.Name) and node.id in files and isinstance(node.ctx, ast.Load)
        for node in ast.walk(tree)
    )
    assert mentioned == len(found), f"{module}: a query's name is not written out"
    return found


@cache
def every_use() -> set[tuple[str, str]]:
    """Return each (file, query) that any module runs, and each fragment that a query includes."""
    run = {use for module in MODULES if module != _MAKES_NAMED for use in used(module)}
    included = {
        ("fragments", name)
        for file in FILES
        for text in queries(file).values()
        for name in re.findall(r"^-- :include (\w+)$", text, re.MULTILINE)
    }
    return run | included


@pytest.mark.parametrize("file", FILES)
def test_each_query_is_run_and_has_a_sentence(file: str) -> None:
    """An unused query is an error; each has a sentence that says what it is for."""
    for name, text in queries(file).items():
        assert (file, name) in every_use(), f"{file}: nobody runs {name}"
        comment = list(takewhile(lambda line: line.startswith("--"), text.splitlines()))
        assert comment, f"{file}: {name} has no sentence"
        assert re.match(r"-- [A-Z]", comment[0]), f"{file}: {name}"
        assert comment[-1].endswith("."), f"{file}: {name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PROGRAM)))
def test_each_query_that_is_run_exists_where_the_module_keeps_its_own(module: Path) -> None:
    """A file's queries are run by the module of its name, and by no other."""
    if module == _MAKES_NAMED:
        return
    for file, query in used(module):
        assert query in queries(file), f"{module}: {file} has no {query}"
        assert module in users(file), f"{module} runs queries of {file}"
