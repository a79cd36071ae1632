"""HTTP connections with limits: how many are open at once, and how long each may keep us waiting.

Uvicorn limits neither. A client that opens connections and sends nothing would use up the file
descriptors of the process, also those for the database. Here, new connections replace idle ones.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from typing import Any, Final

from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconsent.telemetry.log_events import CONNECTIONS_DROPPED, Sparingly

MOST: Final = 1_000
BACKLOG: Final = 128
_OTHERS: Final = 256
"""Descriptors that are kept for the database, the bus, files and providers."""
_WANTED: Final = MOST + BACKLOG + _OTHERS

HEAD_SECONDS: Final = 10.0
"""How long the head of a request may take, from when one may begin."""
REQUEST_SECONDS: Final = 60.0
"""How long a body may take to come, and its response to be read."""


def most_connections() -> int:
    """Return how many connections may be open, after raising the limit of descriptors if needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _WANTED:
        most = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
        if most > soft:
            with suppress(OSError, ValueError):  # where the system forbids it
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
                soft = most
    if soft == resource.RLIM_INFINITY:
        return MOST
    # Those in the backlog are accepted in one go, before any of them can be dropped.
    return max(1, min(MOST, soft - BACKLOG - _OTHERS))


class Connections:
    """The open connections of a server, those that were idle for longest first."""

    def __init__(self, most: int) -> None:
        """Limit them to `most`."""
        self._most = most
        self._open: dict[LimitedProtocol, None] = {}
        self._dropped = Sparingly(CONNECTIONS_DROPPED)

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def add(self, new: LimitedProtocol) -> None:
        """Add a connection. If there are too many, drop the one that keeps us waiting longest.

        Where all others are being answered, that is the new one.
        """
        self._open[new] = None
        if len(self._open) > self._most:
            next(one for one in self._open if one.keeps_us_waiting).drop()

    def idle(self, one: LimitedProtocol) -> None:
        """Note that a connection has been answered just now."""
        if one in self._open:
            self._open[one] = self._open.pop(one)

    def remove(self, one: LimitedProtocol) -> None:
        """Forget a connection that is closed."""
        self._open.pop(one, None)

    def report(self) -> None:
        """Log, once a minute, that connections were dropped."""
        self._dropped.log()


class LimitedProtocol(H11Protocol):
    """A connection that is dropped when it takes too long, or when others need its place."""

    def __init__(self, connections: Connections, **arguments: Any) -> None:  # noqa: ANN401 -- uvicorn's
        """Take what uvicorn passes on to its protocols."""
        super().__init__(**arguments)
        self._connections = connections
        self._deadline: asyncio.TimerHandle | None = None
        self._is_requesting = False
        """Whether the head of a request has come that has not been answered."""

    @property
    def keeps_us_waiting(self) -> bool:
        """Whether the request, or the rest of it, has not come yet."""
        return not self._is_requesting or self.cycle.more_body

    def drop(self) -> None:
        """Close at once, whatever there is to send."""
        self._connections.report()
        self._connections.remove(self)
        self.transport.abort()

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline(HEAD_SECONDS)
        self._connections.add(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._connections.remove(self)
        super().connection_lost(exc)

    @override
    def handle_events(self) -> None:
        super().handle_events()
        began = self._is_requesting
        self._is_requesting = bool(self.cycle) and not self.cycle.response_complete
        if self._is_requesting and not began:
            self._set_deadline(REQUEST_SECONDS)

    @override
    def on_response_complete(self) -> None:
        self._is_requesting = False
        # Also where the connection is closed now: the client may not read the response.
        self._set_deadline(HEAD_SECONDS)
        self._connections.idle(self)
        super().on_response_complete()

    def _set_deadline(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self.drop)
