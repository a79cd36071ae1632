"""An import that was killed is resumed, with the same result."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.outside import World
from tests.acceptance.people import account

ACCOUNTS = 5_000
UNUSABLE = 300
EVENTS = UNUSABLE + ACCOUNTS + 1
_WIDTH = 3_000
_PIPE = 4_096


@pytest.fixture
def file(world: World) -> Path:
    """A file that is read in several parts, the first of which has much to be told."""
    unusable = [account(f"unusable{number}", email="?") for number in range(UNUSABLE)]
    rows = [account(f"p{number}") for number in range(ACCOUNTS)]
    events = [*unusable, *rows, account("last", email="?")]
    return world.lines([json.dumps(event).ljust(_WIDTH) for event in events])


@pytest.mark.slow
def test_a_killed_import_is_resumed(world: World, file: Path) -> None:
    """After kill -9 the same command resumes, says so, and counts each line once."""
    with subprocess.Popen(
        [sys.executable, "-m", "reconsent", "import", "accounts", str(file)],
        env=world.environment,
        cwd=world.folder,
        stderr=subprocess.PIPE,
        # What is told about the first part does not fit: nobody reads on, so it can't end.
        pipesize=_PIPE,
        text=True,
    ) as importing:
        assert importing.stderr
        assert importing.stderr.readline().startswith(f"{file}:1: email: ")
        importing.send_signal(signal.SIGKILL)
    ended = world.run("import", "accounts", file, "--json")
    assert ended.json == {
        "read": EVENTS,
        "new": EVENTS,
        "unchanged": 0,
        "refused": 0,
    }
    carried_on, told, unknown = ended.err.splitlines()
    assert "which no policy lists" in unknown
    assert f"{file}: continuing after " in carried_on
    assert told.startswith(f"{file}:{EVENTS}: email: ")
    again = world.run("import", "accounts", file, "--json")
    assert again.json == {
        "read": EVENTS,
        "new": 0,
        "unchanged": EVENTS,
        "refused": 0,
    }
    assert "continuing" not in again.err
