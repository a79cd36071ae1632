"""SendGrid's stand-in that signals the sender at a chosen point of a request.

It is the program of tests/stand_ins/sendgrid_server.py with two more control endpoints:

    POST /control/strike  at the next request's point, send its sender a signal (see Strike)
    GET  /control/struck  the process that was signalled; null if none reached the point in time
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from typing_extensions import override

from tests.stand_ins.sendgrid import SendGridStandIn, running_sendgrid
from tests.stand_ins.sendgrid_server import Handler, StandIn

Point = Literal["before reading", "after reading", "after accepting", "after responding"]
POINTS: Final[tuple[Point, ...]] = (
    "before reading", "after reading", "after accepting", "after responding",
)  # fmt: skip


PATIENCE: Final = 1.5
"""Seconds within which a request reaches the point, if any does."""


@dataclass(frozen=True, kw_only=True)
class Strike:
    """A signal for the sender of the next request that reaches a point.

    The request ends there without a response, or `goes_on` as if it had been sent completely.
    """

    point: Point
    signal: int
    goes_on: bool


class _StrikingHandler(Handler):
    server: _StrikingStandIn

    @override
    def do_GET(self) -> None:
        if self.path == "/control/struck":
            self._respond(200, {"process": self.server.struck_in_time()})
        else:
            super().do_GET()

    @override
    def do_POST(self) -> None:
        if self.path == "/v3/mail/send":
            if self._passes("before reading"):
                super().do_POST()
        elif self.path == "/control/strike":
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.begin(Strike(**json.loads(body)))
            self._respond(204)
        else:
            super().do_POST()

    @override
    def _mail(self, body: bytes) -> None:
        if self._passes("after reading"):
            super()._mail(body)

    @override
    def _respond(
        self, status: int, document: object = None, headers: dict[str, str] | None = None
    ) -> None:
        mail = self.path == "/v3/mail/send" and status == 202
        if mail and not self._passes("after accepting"):
            return
        # The sender is looked up first: it continues as soon as it has the response.
        late = self.server.due("after responding") if mail else None
        sender = _process_of(self.client_address[1]) if late else None
        with suppress(ConnectionError):
            super()._respond(status, document, headers)
            self.wfile.flush()
        if late:
            self._strike(late, sender)

    def _passes(self, point: Point) -> bool:
        """Send the signal if it is due; return whether the request continues."""
        strike = self.server.due(point)
        if strike is None:
            return True
        self._strike(strike, _process_of(self.client_address[1]))
        return strike.goes_on

    def _strike(self, strike: Strike, sender: int | None) -> None:
        with suppress(ProcessLookupError):
            if sender is not None:
                os.kill(sender, strike.signal)
        self.server.struck = sender
        self.server.has_struck.set()
        self.close_connection = not strike.goes_on


class _StrikingStandIn(StandIn):
    def __init__(self, key: str) -> None:
        self.strike: Strike | None = None
        self.struck: int | None = None
        self.has_struck = threading.Event()
        super().__init__(key, None)
        self.RequestHandlerClass = _StrikingHandler

    def begin(self, strike: Strike | None) -> None:
        """Arm a strike, or disarm."""
        with self.lock:
            self.strike, self.struck = strike, None
            self.has_struck.clear()

    def due(self, point: Point) -> Strike | None:
        """Return and disarm the strike for a point, if there is one."""
        with self.lock:
            strike = self.strike
            if strike is None or strike.point != point:
                return None
            self.strike = None
            return strike

    def struck_in_time(self) -> int | None:
        """Return the signalled process; disarm and return None if no request reached the point.

        A strike that stayed armed could hit a process at a moment the round does not expect.
        """
        self.has_struck.wait(PATIENCE)
        with self.lock:
            armed, self.strike = self.strike, None
        if armed is None:
            self.has_struck.wait()  # a request has just reached the point
        return self.struck

    @override
    def forget(self) -> None:
        self.begin(None)
        super().forget()


def _process_of(port: int) -> int | None:
    """Return the process that uses this local port; None if it is gone."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    inodes = {row[9] for row in rows if int(row[1].split(":")[1], 16) == port and row[9] != "0"}
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(link.readlink()) in sockets and int(link.parts[2]) != os.getpid():
                return int(link.parts[2])
    return None


@dataclass(frozen=True, kw_only=True)
class StrikingSendGrid(SendGridStandIn):
    """A running stand-in, for the tests."""

    def strike(self, strike: Strike) -> None:
        """Arm a strike."""
        self._control("POST", "strike", asdict(strike))

    def struck(self) -> int | None:
        """Wait until a process was signalled, and return it; None if none was."""
        found = self._control("GET", "struck").json()["process"]
        return None if found is None else int(found)


@contextmanager
def running_striking_sendgrid() -> Iterator[StrikingSendGrid]:
    """Run one on a free port."""
    with running_sendgrid(program=Path(__file__)) as made:
        yield StrikingSendGrid(host=made.host, api_key=made.api_key)


def main() -> None:
    """Serve with the key of the first argument until the input ends."""
    server = _StrikingStandIn(sys.argv[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
