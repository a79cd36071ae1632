"""Start the stand-in of SendGrid, and call its control endpoints."""

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
    """A running stand-in: its host for SENDGRID_HOST, and its API key."""

    host: str
    api_key: str

    def next(self, **behaviour: object) -> None:
        """Set the behaviour for the next requests: Behaviour of sendgrid_server."""
        self._control("POST", "next", behaviour)

    def refuse(self, *emails: str) -> None:
        """Set the addresses that are rejected from now on."""
        self._control("POST", "refuse", emails)

    def limit(self, requests: int, seconds: float = 1.0) -> None:
        """Limit the requests in a number of seconds; 0: no limit."""
        self._control("POST", "limit", {"requests": requests, "seconds": seconds})

    def forget(self) -> None:
        """Reset the behaviour, the accepted requests and the counts."""
        self._control("POST", "forget")

    def post_events(self, url: str, **habits: object) -> None:
        """Post the events of mails accepted from now on to a webhook: Habits."""
        self._control("POST", "post", {"url": url, **habits})

    def posted(self, patience: float = 30.0) -> dict[str, int]:
        """Wait until all events are posted; return the number of posts by response."""
        deadline = time.monotonic() + patience
        while (found := self._control("GET", "counts").json()["posted"])["waiting"]:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return dict(found["responses"])

    @property
    def webhook_key(self) -> str:
        """The webhook's public key, for SENDGRID_WEBHOOK_KEY."""
        return str(self._control("GET", "key").json())

    def accepted(self) -> list[dict[str, Any]]:
        """Return the accepted requests in order."""
        return list(self._control("GET", "accepted").json())

    def personalizations(self) -> list[dict[str, Any]]:
        """Return the accepted personalizations in order."""
        return [one for request in self.accepted() for one in request["personalizations"]]

    def counts(self) -> dict[str, int]:
        """Return the accepted `requests` and `recipients`, and all `received` requests."""
        found = self._control("GET", "counts").json()
        return {name: found[name] for name in ("requests", "recipients", "received")}

    def _control(self, method: str, path: str, sent: object = None) -> httpx.Response:
        response = httpx.request(method, f"{self.host}/control/{path}", json=sent, trust_env=False)
        return response.raise_for_status()


@contextmanager
def running_sendgrid(
    *, keep: int | None = None, program: Path = _PROGRAM
) -> Iterator[SendGridStandIn]:
    """Run a stand-in on a free port; it keeps the last `keep` accepted requests (None: all)."""
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
