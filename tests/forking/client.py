"""Ask the forking process for commands, and wait for their ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue
from threading import Condition, Lock, Thread
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_PATIENCE: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """A command: arguments, the whole environment, the folder it runs in, and its streams."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str = os.fspath(ROOT)
    stdin: str = os.devnull
    stdout: str
    stderr: str


class Forker:
    """The process that forks the others; hears of their ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Listen to it."""
        self._process = process
        self._started: Queue[int] = Queue()
        self._asking = Lock()
        self._told = Condition()
        self.codes: dict[int, int] = {}
        Thread(target=self._listen, daemon=True).start()

    def start(self, request: Request) -> int:
        """Start a command; return its process's number."""
        assert self._process.stdin
        with self._asking:
            self._process.stdin.write(json.dumps(asdict(request)) + "\n")
            self._process.stdin.flush()
            return self._started.get(timeout=_PATIENCE)

    def wait(self, pid: int, seconds: float = _PATIENCE) -> int:
        """Wait for a process's end; return its exit code, negative for a signal."""
        with self._told:
            ended = self._told.wait_for(lambda: pid in self.codes, seconds)
            assert ended, f"process {pid} does not end"
            return self.codes[pid]

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            what, pid, *code = line.split()
            with self._told:
                if what == "started":
                    self.codes.pop(int(pid), None)  # an earlier process's, with the same number
                    self._started.put(int(pid))
                else:
                    self.codes[int(pid)] = int(*code)
                    self._told.notify_all()


@contextmanager
def running_forker(*, impatient: bool = False) -> Iterator[Forker]:
    """Give a process that forks others; none of them outlives the block."""
    path = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.forking.server", *(["impatient"] if impatient else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=path,
    ) as process:
        try:
            yield Forker(process)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(_PATIENCE)
