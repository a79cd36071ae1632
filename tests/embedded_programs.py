"""Processes that share the embedded PostgreSQL of a home, for tests that kill them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconsent.embedded.user import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GIVE_UP_SECONDS = 120

# Joins the given home, then replies to each line of SQL with a line of JSON until EOF.
PROGRAM = """
import json, sys
from pathlib import Path
import psycopg
from reconsent.embedded.user import EmbeddedError, join
try:
    user = join(Path(sys.argv[1]))
except EmbeddedError as error:
    sys.exit(str(error))
print(json.dumps("joined"), flush=True)
for line in sys.stdin:
    if line == "ensure\\n":
        user.ensure()
        print(json.dumps("ensured"), flush=True)
        continue
    with psycopg.connect(user.conninfo, autocommit=True) as connection:
        cursor = connection.execute(line)
        print(json.dumps(cursor.fetchone() if cursor.description else None), flush=True)
"""
# Identifies a run of the server.
STARTED_AT = "select pg_postmaster_start_time()::text"


class Program:
    """A process that has joined a home, or is about to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def reply(self) -> Any:  # noqa: ANN401 - whatever JSON the statement gives
        """Return the next reply; fail if the program has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the program ended without a reply"
        return json.loads(line)

    def ask(self, statement: str) -> Any:  # noqa: ANN401 - whatever JSON the statement gives
        """Return the first row of a statement's result."""
        assert self.process.stdin is not None
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()
        return self.reply()

    def end(self) -> None:
        """Close the program's input and wait until it has ended."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(GIVE_UP_SECONDS) == 0

    def kill(self) -> None:
        """Kill the program."""
        self.process.kill()
        self.process.wait(GIVE_UP_SECONDS)


def command(home: Path, interpreter: str = sys.executable) -> list[str]:
    """Return the command line of the program."""
    return [interpreter, "-c", PROGRAM, str(home)]


def surroundings(**more: str) -> dict[str, str]:
    """Return an environment in which any interpreter finds what this one imports."""
    path = os.pathsep.join([str(PACKAGES), *filter(None, sys.path)])
    return os.environ | {"PYTHONPATH": path} | more  # noqa: TID251 - for a program of ours


@contextmanager
def program(home: Path, **how: Any) -> Iterator[Program]:  # noqa: ANN401 - Popen's arguments
    """Start a program; it is killed at the end, also when the test fails."""
    how = {"args": command(home), "env": surroundings()} | how
    with subprocess.Popen(
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/", **how
    ) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


@contextmanager
def joined(home: Path, **how: Any) -> Iterator[Program]:  # noqa: ANN401 - Popen's arguments
    """Start a program and wait until it has joined."""
    with program(home, **how) as started:
        assert started.reply() == "joined"
        yield started


def processes_in(home: Path) -> set[int]:
    """Return the processes with a working directory or an open file below ``home``."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            places = [process / "cwd", *(process / "fd").iterdir()]
            if any(place.readlink().is_relative_to(home) for place in places):
                found.add(int(process.name))
        except OSError:  # it has ended, or belongs to another user
            continue
    return found


def kill_all(processes: set[int]) -> None:
    """Kill processes; some may already have ended."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def wait_until(holds: Callable[[], object]) -> None:
    """Wait until a condition holds; fail after GIVE_UP_SECONDS."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_until_stopped(home: Path) -> None:
    """Wait until a server that was stopped, not killed, has left no process."""
    wait_until(lambda: not processes_in(home))
    assert not (home / "postgres/data/postmaster.pid").exists()


def postmaster_of(home: Path) -> int:
    """Return the process id of the postmaster."""
    return int((home / "postgres/data/postmaster.pid").read_text().split()[0])


def supervisor_of(home: Path) -> int:
    """Return the process id of the supervisor."""
    status = Path(f"/proc/{postmaster_of(home)}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])
