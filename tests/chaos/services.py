"""The services of a round, each a process of its own that may be killed, paused and started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Lock, Thread
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FAILED_OUTSIDE: Final = 3
_PATIENCE: Final = 60.0


class Zygote:
    """The process that forks the others; hears of their ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Listen to it."""
        self._process = process
        self._started: Queue[int] = Queue()
        self._lock = Lock()
        self.codes: dict[int, int] = {}
        Thread(target=self._listen, daemon=True).start()

    def start(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> int:
        """Start a command; return its process's number."""
        asked = {"arguments": arguments, "environment": dict(environment), "log": str(log)}
        assert self._process.stdin
        with self._lock:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            return self._started.get(timeout=_PATIENCE)

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            what, pid, *code = line.split()
            if what == "started":
                self.codes.pop(int(pid), None)  # an earlier process's, who had the same number
                self._started.put(int(pid))
            else:
                self.codes[int(pid)] = int(*code)


@contextmanager
def running_zygote() -> Iterator[Zygote]:
    """Give a process that forks others; none of them outlives the block."""
    path = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.zygote"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=path,
    ) as process:
        try:
            yield Zygote(process)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(_PATIENCE)


@dataclass
class _Service:
    name: str
    pid: int
    wanted: bool = True


class Services:
    """The services of one round. One that ended because of something outside is started again."""

    def __init__(self, zygote: Zygote, environment: Mapping[str, str], log: Path) -> None:
        """Start nothing yet."""
        self._zygote = zygote
        self._environment = environment
        self.log = log
        self._known: list[_Service] = []

    def start(self, name: str) -> int:
        """Start one more process of a service; return its number."""
        pid = self._zygote.start(["run", name], self._environment, self.log)
        self._known.append(_Service(name, pid))
        return pid

    def of(self, name: str) -> list[int]:
        """Return the processes of a service."""
        return [service.pid for service in self._known if service.name == name and service.wanted]

    def kill(self, pid: int) -> None:
        """Kill one process; nothing replaces it."""
        self._forget(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self._wait(pid)

    def leave(self, pid: int) -> None:
        """Ask one process to end, as an operator does."""
        self._forget(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        code = self._wait(pid)
        # One that has only just been started does not listen yet.
        assert code in {0, FAILED_OUTSIDE, -signal.SIGTERM}, f"ended with {code}; see {self.log}"

    def tend(self) -> None:
        """Start again what ended because of something outside; fail where something broke."""
        for service in list(self._known):
            code = self._zygote.codes.get(service.pid)
            if service.wanted and code is not None:
                assert code == FAILED_OUTSIDE, f"{service.name} ended with {code}; see {self.log}"
                service.wanted = False
                self.start(service.name)

    def end(self) -> None:
        """Kill all of them."""
        for service in self._known:
            if service.wanted:
                self.kill(service.pid)

    close = end

    def _forget(self, pid: int) -> None:
        for service in self._known:
            if service.pid == pid:
                service.wanted = False

    def _wait(self, pid: int) -> int:
        deadline = time.monotonic() + _PATIENCE
        while pid not in self._zygote.codes:
            assert time.monotonic() < deadline, f"process {pid} does not end; see {self.log}"
            time.sleep(0.01)
        return self._zygote.codes[pid]
