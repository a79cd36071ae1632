"""A strict stand-in for SendGrid's /v3/mail/send: a program that prints its port and serves.

It ends when its standard input is closed, so it never outlives its test. Its control endpoints:

    POST /control/next      the behaviour for the next requests (see Behaviour)
    POST /control/refuse    the addresses that are rejected
    POST /control/limit     the number of requests in a number of seconds; 0: no limit
    POST /control/forget    reset the behaviour, the accepted requests and the counts
    POST /control/post      post events to a webhook from now on (see Habits)
    GET  /control/accepted  the accepted requests
    GET  /control/counts    the counts of requests, recipients and posts
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
    """Special behaviour for the next `times` requests.

    With `accept`, a valid request is accepted first. Then, after a `delay` in seconds, the server
    closes the connection without a response (`hang_up`) or responds `status` with `headers`.
    """

    times: int = 1
    accept: bool = False
    delay: float = 0.0
    hang_up: bool = False
    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Limit:
    """A rate limit: up to `requests` in each span of `seconds`; 0 is no limit."""

    requests: int = 0
    seconds: float = 1.0
    left: int = 0
    ends: float = 0.0

    def spend(self) -> dict[str, str] | None:
        """Count a request; return the rate limit headers if the limit is exceeded."""
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
    """The server and its state; `keep` is how many accepted requests it stores."""

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
        """Reset everything except events that wait to be posted."""
        with self.lock:
            self.next.clear()
            self.refused = set()
            self.accepted.clear()
            self.received = 0
            self.counts = {"requests": 0, "recipients": 0}
            self.limit = Limit()

    def behaviour(self) -> Behaviour | None:
        """Count a request, and return its special behaviour, if any."""
        with self.lock:
            self.received += 1
            return self.next.popleft() if self.next else None

    def accept(self, request: dict[str, Any]) -> None:
        """Accept the mails of a request."""
        with self.lock:
            self.accepted.append(request)
            self.counts["requests"] += 1
            self.counts["recipients"] += len(request["personalizations"])
        self.posting.accepted(request["personalizations"])

    def limited(self) -> dict[str, str] | None:
        """Return the headers of a 429 if there were too many requests."""
        with self.lock:
            return self.limit.spend()


class Handler(BaseHTTPRequestHandler):
    """Handles mail requests and control requests."""

    server: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Return accepted requests, counts or the key."""
        with self.server.lock:
            if self.path == "/control/accepted":
                self._respond(200, list(self.server.accepted))
            elif self.path == "/control/counts":
                counts = self.server.counts | {"received": self.server.received}
                self._respond(200, counts | {"posted": self.server.posting.counts()})
            elif self.path == "/control/key":
                self._respond(200, self.server.signing.public_key)
            else:
                self._respond(404)

    def do_POST(self) -> None:
        """Handle a mail request or a control request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/control/next":
            behaviour = Behaviour(**json.loads(body))
            with self.server.lock:
                self.server.next.extend([behaviour] * behaviour.times)
            self._respond(204)
        elif self.path == "/control/refuse":
            with self.server.lock:
                self.server.refused = {canonical(email) for email in json.loads(body)}
            self._respond(204)
        elif self.path == "/control/limit":
            with self.server.lock:
                self.server.limit = Limit(**json.loads(body))
            self._respond(204)
        elif self.path == "/control/forget":
            self.server.forget()
            self._respond(204)
        elif self.path == "/control/post":
            self.server.posting.begin(Habits(**json.loads(body)))
            self._respond(204)
        elif self.path == "/v3/mail/send":
            self._mail(body)
        else:
            self._respond(404, _errors(("", "not found")))

    def _mail(self, body: bytes) -> None:
        behaviour = self.server.behaviour()
        if behaviour and not behaviour.accept:
            self._respond_as(behaviour)
        elif self.headers.get("Authorization") != f"Bearer {self.server.key}":
            self._respond(401, _errors(("", _INVALID_KEY)))
        elif limit := self.server.limited():
            self._respond(429, _errors(("", "too many requests")), limit)
        elif self.headers.get_content_type() != "application/json":
            self._respond(415, _errors(("", "Content-Type should be application/json.")))
        elif len(body) >= MOST_BYTES:
            self._respond(413, _errors(("", "The request is too large.")))
        else:
            self._valid_mail(body, behaviour)

    def _valid_mail(self, body: bytes, behaviour: Behaviour | None) -> None:
        try:
            request = json.loads(body)
        except ValueError:
            self._respond(400, _errors(("", "Bad Request")))
            return
        if found := faults(request, self.server.refused):
            self._respond(400, _errors(*found))
            return
        self.server.accept(request)
        if behaviour:
            self._respond_as(behaviour)
        else:
            self._respond(202, headers={"X-Message-Id": uuid.uuid4().hex})

    def _respond_as(self, behaviour: Behaviour) -> None:
        time.sleep(behaviour.delay)
        if behaviour.hang_up:
            self.close_connection = True
        else:
            status = behaviour.status
            errors = _errors(("", HTTPStatus(status).phrase)) if status >= 300 else None
            self._respond(status, errors, behaviour.headers)

    def _respond(
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
        """Log nothing."""


def _errors(*found: tuple[str, str]) -> dict[str, Any]:
    return {
        "errors": [{"message": words, "field": at or None, "help": None} for at, words in found]
    }


def main() -> None:
    """Serve with the API key of the first argument; the second is how many requests to keep."""
    server = StandIn(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
