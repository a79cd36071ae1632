"""The services of a round: processes that can be killed, suspended and started."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.forking.client import Forker, Request

FAILED_OUTSIDE: Final = 3


@dataclass
class _Service:
    name: str
    pid: int
    wanted: bool = True


class Services:
    """The services of one round. One that ended because of an outside error is restarted."""

    def __init__(self, forker: Forker, environment: Mapping[str, str], log: Path) -> None:
        """Only note the parameters; `start` starts a service."""
        self._forker = forker
        self._environment = environment
        self.log = log
        self._known: list[_Service] = []

    def start(self, name: str) -> int:
        """Start one more process of a service; return its process id."""
        pid = self._forker.start(
            Request(
                arguments=["run", name],
                environment=self._environment,
                stdout=str(self.log),
                stderr=str(self.log),
            )
        )
        self._known.append(_Service(name, pid))
        return pid

    def of(self, name: str) -> list[int]:
        """Return the process ids of a service."""
        return [service.pid for service in self._known if service.name == name and service.wanted]

    def kill(self, pid: int) -> None:
        """Kill one process; nothing replaces it."""
        self._forget(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self._wait(pid)

    def leave(self, pid: int) -> None:
        """Stop one process, as an operator does."""
        self._forget(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        code = self._wait(pid)
        # One that has just been started has no signal handler yet.
        assert code in {0, FAILED_OUTSIDE, -signal.SIGTERM}, f"ended with {code}; see {self.log}"

    def tend(self) -> None:
        """Restart services that ended because of an outside error; fail if one broke."""
        for service in list(self._known):
            code = self._forker.codes.get(service.pid)
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
        return self._forker.wait(pid)
