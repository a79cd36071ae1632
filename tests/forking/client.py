"""Start commands through the forking process, and wait for their ends."""

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
    """The process that forks the commands, and their exit codes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Read its output on a thread."""
        self._process = process
        self._started: Queue[int] = Queue()
        self._request_lock = Lock()
        self._changed = Condition()
        self.codes: dict[int, int] = {}
        Thread(target=self._read, daemon=True).start()

    def start(self, request: Request) -> int:
        """Start a command; return its process id."""
        assert self._process.stdin
        with self._request_lock:
            self._process.stdin.write(json.dumps(asdict(request)) + "\n")
            self._process.stdin.flush()
            return self._started.get(timeout=_PATIENCE)

    def wait(self, pid: int, seconds: float = _PATIENCE) -> int:
        """Wait for a process's end; return its exit code, negative for a signal."""
        with self._changed:
            ended = self._changed.wait_for(lambda: pid in self.codes, seconds)
            assert ended, f"process {pid} has not ended"
            return self.codes[pid]

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            what, pid, *code = line.split()
            with self._changed:
                if what == "started":
                    self.codes.pop(int(pid), None)  # of an earlier process with this id
                    self._started.put(int(pid))
                else:
                    self.codes[int(pid)] = int(*code)
                    self._changed.notify_all()


@contextmanager
def running_forker(*, impatient: bool = False) -> Iterator[Forker]:
    """Yield a forking process; none of its commands outlives the block."""
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
