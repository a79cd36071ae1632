"""An import that was killed is resumed, with the same result."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.outside import World
from tests.acceptance.people import account

ACCOUNTS = 25_000
_PATIENCE = 120.0


@pytest.fixture
def file(world: World) -> Path:
    """A file that takes a while, with an address that cannot be used at each end."""
    rows = [account(f"p{number}") for number in range(ACCOUNTS)]
    first, last = (account(name, email="?") for name in ("first", "last"))
    return world.lines([first, *rows, last])


@pytest.mark.slow
def test_a_killed_import_is_resumed(world: World, file: Path) -> None:
    """After kill -9 the same command resumes, says so, and counts each line once."""
    with subprocess.Popen(
        [sys.executable, "-m", "reconsent", "import", "accounts", str(file)],
        env=world.environment,
        cwd=world.folder,
        stderr=subprocess.PIPE,
        text=True,
    ) as importing:
        # What is to be told about the first line is told once its batch is recorded.
        assert importing.stderr
        assert importing.stderr.readline().startswith(f"{file}:1: email: ")
        importing.send_signal(signal.SIGKILL)
    ended = world.run("import", "accounts", file, "--json")
    assert ended.json == {
        "read": ACCOUNTS + 2,
        "new": ACCOUNTS + 2,
        "unchanged": 0,
        "refused": 0,
    }
    carried_on, told, unknown = ended.err.splitlines()
    assert "which no policy lists" in unknown
    assert f"{file}: continuing after " in carried_on
    assert told.startswith(f"{file}:{ACCOUNTS + 2}: email: ")
    again = world.run("import", "accounts", file, "--json")
    assert again.json == {
        "read": ACCOUNTS + 2,
        "new": 0,
        "unchanged": ACCOUNTS + 2,
        "refused": 0,
    }
    assert "continuing" not in again.err
