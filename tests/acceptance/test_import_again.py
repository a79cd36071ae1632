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
    """A file that takes a while, with a line that the rules refuse at each end."""
    rows = [account(f"p{number}") for number in range(ACCOUNTS)]
    ahead = account("ahead", updated_at="2999-01-01T00:00:00Z")
    return world.lines([ahead, *rows, ahead])


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
        # The first refused line is told once its batch is recorded.
        assert importing.stderr
        assert importing.stderr.readline().startswith(f"{file}:1: updated_at: ")
        importing.send_signal(signal.SIGKILL)
    ended = world.run("import", "accounts", file, "--json")
    assert ended.json == {
        "read": ACCOUNTS + 2,
        "new": ACCOUNTS,
        "unchanged": 0,
        "refused": 2,
    }
    carried_on, refused = ended.err.splitlines()
    assert f"{file}: continuing after " in carried_on
    assert refused.startswith(f"{file}:{ACCOUNTS + 2}: updated_at: ")
    again = world.run("import", "accounts", file, "--json")
    assert again.json == {
        "read": ACCOUNTS + 2,
        "new": 0,
        "unchanged": ACCOUNTS,
        "refused": 2,
    }
    assert "continuing" not in again.err
