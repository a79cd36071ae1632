"""ARCHITECTURE.md names files, functions and tests that exist, and every folder of the program."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.docs import ROOT

# What comes after are packages, and folders that are only planned.
TEXT = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("## Dependencies")[0]
PROGRAM = ROOT / "services" / "reconsent"
MODEL = sorted((ROOT / "tests" / "model").glob("*.py"))


def _found(path: str) -> Path | None:
    return next((at for at in (PROGRAM / path, ROOT / path) if at.exists()), None)


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|\.yaml|/))`", TEXT)))
)
def test_each_path_exists(path: str) -> None:
    """A path in backticks is a file or folder of the program or of the repository."""
    assert _found(path), path


@pytest.mark.parametrize(
    ("path", "name"), sorted(set(re.findall(r"`([a-z_/]+\.py)`\s+`(\w+(?:\.\w+)?)`", TEXT)))
)
def test_each_function_is_where_the_tour_says(path: str, name: str) -> None:
    """A name after a path is a class, function, method or constant defined in that file."""
    at = _found(path)
    assert at
    assert name in _defined(ast.parse(at.read_text("utf-8")))


def _defined(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)
            }
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def test_each_folder_is_drawn() -> None:
    """The drawing of the house names every folder of the program."""
    drawing = TEXT.partition("## The house")[2].partition("## Words")[0]
    folders = [at for at in PROGRAM.rglob("*") if at.is_dir() and any(at.glob("*.py"))]
    missing = [at.name for at in folders if f"{at.name}/" not in drawing]
    assert not missing


@pytest.mark.parametrize("path", MODEL, ids=lambda path: path.stem)
def test_the_naive_model_imports_nothing_of_ours(path: Path) -> None:
    """Nor any other folder of tests, by which it could share code with the program."""
    found = [
        name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else _names(node))
    ]
    foreign = {name for name in found if not f"{name}.".startswith("tests.model.")}
    others = {name.partition(".")[0] for name in foreign} - sys.stdlib_module_names
    assert others <= {"hypothesis", "pytest", "yaml"}


def _names(node: ast.Import) -> list[str]:
    return [one.name for one in node.names]
