"""Starting the stand-in of SendGrid, and speaking with its control endpoints."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAM: Final = Path(__file__).with_name("sendgrid_server.py")


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

    def limit(self, requests: int, seconds: float = 1.0) -> None:
        """Take only so many requests in so many seconds; 0: any number."""
        self._control("POST", "limit", {"requests": requests, "seconds": seconds})

    def forget(self) -> None:
        """Forget what was told, accepted and counted."""
        self._control("POST", "forget")

    def post_events(self, url: str, **habits: object) -> None:
        """Post what becomes of mails accepted from now on to a webhook: Habits."""
        self._control("POST", "post", {"url": url, **habits})

    def posted(self, patience: float = 30.0) -> dict[str, int]:
        """Wait until no event waits to be posted; return how many posts had which answer."""
        deadline = time.monotonic() + patience
        while (found := self._control("GET", "counts").json()["posted"])["waiting"]:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return dict(found["answers"])

    @property
    def webhook_key(self) -> str:
        """The webhook's public key, as SENDGRID_WEBHOOK_KEY takes it."""
        return str(self._control("GET", "key").json())

    def accepted(self) -> list[dict[str, Any]]:
        """Return the requests that were accepted, in their order."""
        return list(self._control("GET", "accepted").json())

    def personalizations(self) -> list[dict[str, Any]]:
        """Return what was accepted for each person, in its order."""
        return [one for request in self.accepted() for one in request["personalizations"]]

    def counts(self) -> dict[str, int]:
        """Return `requests` and `recipients` accepted, and requests `received` at all."""
        found = self._control("GET", "counts").json()
        return {name: found[name] for name in ("requests", "recipients", "received")}

    def _control(self, method: str, path: str, told: object = None) -> httpx.Response:
        answer = httpx.request(method, f"{self.host}/control/{path}", json=told, trust_env=False)
        return answer.raise_for_status()


@contextmanager
def running_sendgrid(
    *, keep: int | None = None, program: Path = _PROGRAM
) -> Iterator[SendGridStandIn]:
    """Run a stand-in on a free port; it can show the last `keep` accepted requests."""
    key = "SG.made-up"
    command = [sys.executable, str(program), key]
    if keep is not None:
        command.append(str(keep))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            port = int(process.stdout.readline())
            yield SendGridStandIn(host=f"http://127.0.0.1:{port}", api_key=key)
        finally:
            process.stdin.close()  # which ends it
            process.wait(timeout=60)
