"""Starting the stand-in of SendGrid, and speaking with its control endpoints."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class SendGridStandIn:
    """A running stand-in: its host as SENDGRID_HOST takes it, and the key that it knows."""

    host: str
    api_key: str

    def next(self, **behaviour: object) -> None:
        """Tell what becomes of the next requests: sendgrid_server's Behaviour."""
        self._control("POST", "next", behaviour)

    def refuse(self, *emails: str) -> None:
        """Tell which addresses are not taken from now on."""
        self._control("POST", "refuse", emails)

    def accepted(self) -> list[dict[str, Any]]:
        """Return the requests that were accepted, in their order."""
        return list(self._control("GET", "accepted").json())

    def personalizations(self) -> list[dict[str, Any]]:
        """Return what was accepted for each person, in its order."""
        return [one for request in self.accepted() for one in request["personalizations"]]

    def counts(self) -> dict[str, int]:
        """Return `requests` and `recipients` accepted, and requests `received` at all."""
        return dict(self._control("GET", "counts").json())

    def _control(self, method: str, path: str, told: object = None) -> httpx.Response:
        answer = httpx.request(method, f"{self.host}/control/{path}", json=told, trust_env=False)
        return answer.raise_for_status()


@contextmanager
def running_sendgrid(*, keep: int | None = None) -> Iterator[SendGridStandIn]:
    """Run a stand-in on a free port; it can show the last `keep` accepted requests."""
    key = "SG.made-up"
    program = [sys.executable, str(Path(__file__).with_name("sendgrid_server.py")), key]
    if keep is not None:
        program.append(str(keep))
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            port = int(process.stdout.readline())
            yield SendGridStandIn(host=f"http://127.0.0.1:{port}", api_key=key)
        finally:
            process.stdin.close()  # which ends it
            process.wait(timeout=10)
