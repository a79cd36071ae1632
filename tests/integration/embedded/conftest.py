"""Homes of the embedded server."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.embedded_programs import (
    joined,
    processes_in,
    wait_until,
    wait_until_stopped,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    """Return a home that does not exist yet; no process may be left in it."""
    yield tmp_path / "home"
    wait_until(lambda: not processes_in(tmp_path))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home that was used and left, to be copied."""
    home = tmp_path_factory.mktemp("made") / "home"
    with joined(home) as user:
        user.end()
    wait_until_stopped(home)
    return home


@pytest.fixture
def home(fresh: Path, made: Path) -> Path:
    """Return a home with a database; copying takes less time than initdb."""
    subprocess.run(["cp", "-a", made, fresh], check=True)
    return fresh
