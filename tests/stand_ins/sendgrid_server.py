"""A strict stand-in of SendGrid's /v3/mail/send: a program that prints its port and serves.

It ends when its standard input does, so it never outlives the test that started it. Its control
endpoints:

    POST /control/next      what becomes of the next requests (see Behaviour)
    POST /control/refuse    which addresses are not taken
    POST /control/limit     how many requests are taken in so many seconds; 0: any number
    POST /control/forget    everything that was told, accepted and counted
    POST /control/post      events are posted to a webhook from now on (see Habits)
    GET  /control/accepted  what was accepted
    GET  /control/counts    how many requests and recipients that were, and what was posted
    GET  /control/key       the webhook's public key
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from typing_extensions import override

from tests.stand_ins.sendgrid_rules import MOST_BYTES, canonical, faults
from tests.stand_ins.sendgrid_webhook import Habits, Posting, Signing

_INVALID_KEY: Final = "The provided authorization grant is invalid, expired, or revoked"


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What becomes of the next `times` requests instead of what usually does.

    With `accept`, a valid request is accepted before anything else happens. Then comes a `delay`
    in seconds, and then the connection ends without an answer (`hang_up`), or the answer is
    `status` with `headers`.
    """

    times: int = 1
    accept: bool = False
    delay: float = 0.0
    hang_up: bool = False
    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Limit:
    """A rate limit: `requests` are taken in each span of `seconds`, any number where it is 0."""

    requests: int = 0
    seconds: float = 1.0
    left: int = 0
    ends: float = 0.0

    def spend(self) -> dict[str, str] | None:
        """Count a request; return the headers that tell of the limit where it is over."""
        now = time.time()
        if now >= self.ends:
            self.ends, self.left = now + self.seconds, self.requests
        if not self.requests or self.left:
            self.left -= 1
            return None
        return {
            "X-RateLimit-Limit": str(self.requests),
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(math.ceil(self.ends)),
        }


class StandIn(ThreadingHTTPServer):
    """The server and what it remembers; `keep` is how many accepted requests it can show."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, key: str, keep: int | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.key = key
        self.lock = threading.Lock()
        self.next: deque[Behaviour] = deque()
        self.refused: set[str] = set()
        self.accepted: deque[dict[str, Any]] = deque(maxlen=keep)
        self.signing = Signing()
        self.posting = Posting(self.signing)
        self.forget()

    def forget(self) -> None:
        """Begin anew, but for events that wait to be posted."""
        with self.lock:
            self.next.clear()
            self.refused = set()
            self.accepted.clear()
            self.received = 0
            self.counts = {"requests": 0, "recipients": 0}
            self.limit = Limit()

    def behaviour(self) -> Behaviour | None:
        """Count a request, and return what was told about it."""
        with self.lock:
            self.received += 1
            return self.next.popleft() if self.next else None

    def accept(self, request: dict[str, Any]) -> None:
        """Take a request's mails over."""
        with self.lock:
            self.accepted.append(request)
            self.counts["requests"] += 1
            self.counts["recipients"] += len(request["personalizations"])
        self.posting.accepted(request["personalizations"])

    def limited(self) -> dict[str, str] | None:
        """Return the headers of a refusal where there were too many requests."""
        with self.lock:
            return self.limit.spend()


class Handler(BaseHTTPRequestHandler):
    """Answers requests of mail, and does what it is told about them."""

    server: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Show what was accepted."""
        with self.server.lock:
            if self.path == "/control/accepted":
                self._answer(200, list(self.server.accepted))
            elif self.path == "/control/counts":
                counts = self.server.counts | {"received": self.server.received}
                self._answer(200, counts | {"posted": self.server.posting.counts()})
            elif self.path == "/control/key":
                self._answer(200, self.server.signing.public_key)
            else:
                self._answer(404)

    def do_POST(self) -> None:
        """Take mail, or be told how."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/control/next":
            told = Behaviour(**json.loads(body))
            with self.server.lock:
                self.server.next.extend([told] * told.times)
            self._answer(204)
        elif self.path == "/control/refuse":
            with self.server.lock:
                self.server.refused = {canonical(email) for email in json.loads(body)}
            self._answer(204)
        elif self.path == "/control/limit":
            with self.server.lock:
                self.server.limit = Limit(**json.loads(body))
            self._answer(204)
        elif self.path == "/control/forget":
            self.server.forget()
            self._answer(204)
        elif self.path == "/control/post":
            self.server.posting.begin(Habits(**json.loads(body)))
            self._answer(204)
        elif self.path == "/v3/mail/send":
            self._mail(body)
        else:
            self._answer(404, _errors(("", "not found")))

    def _mail(self, body: bytes) -> None:
        told = self.server.behaviour()
        if told and not told.accept:
            self._as_told(told)
        elif self.headers.get("Authorization") != f"Bearer {self.server.key}":
            self._answer(401, _errors(("", _INVALID_KEY)))
        elif limit := self.server.limited():
            self._answer(429, _errors(("", "too many requests")), limit)
        elif self.headers.get_content_type() != "application/json":
            self._answer(415, _errors(("", "Content-Type should be application/json.")))
        elif len(body) >= MOST_BYTES:
            self._answer(413, _errors(("", "The request is too large.")))
        else:
            self._valid_mail(body, told)

    def _valid_mail(self, body: bytes, told: Behaviour | None) -> None:
        try:
            request = json.loads(body)
        except ValueError:
            self._answer(400, _errors(("", "Bad Request")))
            return
        if found := faults(request, self.server.refused):
            self._answer(400, _errors(*found))
            return
        self.server.accept(request)
        if told:
            self._as_told(told)
        else:
            self._answer(202, headers={"X-Message-Id": uuid.uuid4().hex})

    def _as_told(self, told: Behaviour) -> None:
        time.sleep(told.delay)
        if told.hang_up:
            self.close_connection = True
        else:
            errors = _errors(("", HTTPStatus(told.status).phrase)) if told.status >= 300 else None
            self._answer(told.status, errors, told.headers)

    def _answer(
        self, status: int, document: object = None, headers: dict[str, str] | None = None
    ) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the tests ask."""


def _errors(*found: tuple[str, str]) -> dict[str, Any]:
    return {
        "errors": [{"message": words, "field": at or None, "help": None} for at, words in found]
    }


def main() -> None:
    """Serve with the key of the first argument, keeping as many requests as the second says."""
    server = StandIn(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
