"""Serve the application over HTTP until it is closed."""

from __future__ import annotations

import asyncio
import socket
import threading
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn

from reconsent.domain.errors import OutsideError
from reconsent.telemetry.log_events import REQUEST_FAILED, SERVER_FAULT, Sparingly
from reconsent.web.connections import BACKLOG, Connections, LimitedProtocol, most_connections

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Protocol

    from starlette.types import ASGIApp, Receive, Scope, Send

    from reconsent.web.settings import WebSettings

_POLL_INTERVAL: Final = 0.1


def reporting_faults(app: ASGIApp) -> ASGIApp:
    """Wrap an application so that a request that fails is one line of the log.

    The application has responded by then, if it could. Addresses are not logged: links are secret.
    """

    async def reported(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 (whatever the fault is)
            route = scope.get("route")
            REQUEST_FAILED.log(
                method=scope.get("method", ""),
                route=getattr(route, "path_format", "no route"),
                error=type(error).__name__,
                at=_place_of(error),
            )

    return reported


def _place_of(error: Exception) -> str:
    """Return the file and line of the program that an error comes from."""
    frames = extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{Path(__file__).parents[1]}/" in frame.filename]
    found = (ours or frames)[-1]
    return f"{Path(found.filename).name}:{found.lineno}"


class Web:
    """The HTTP server of the pages and the API, in a thread of its own."""

    name = "web"

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        """Bind the address at once, so that a conflict is reported before anything starts."""
        host, port = settings.listen
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # asyncio sets TCP_NODELAY only for an explicit protocol; without it a response takes 40 ms.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(settings.listen)
        except OSError as error:
            self._socket.close()
            raise OutsideError(f"RECONSENT_LISTEN: {host}:{port}: {error.strerror}") from error
        self.connections = Connections(most_connections())
        config = uvicorn.Config(
            reporting_faults(app),
            http=cast("type[Protocol]", partial(LimitedProtocol, self.connections)),
            ws="none",
            backlog=BACKLOG,
            log_level="error",
            access_log=False,
            server_header=False,
            # Where a request comes from is what the last proxy says that is not one of ours.
            forwarded_allow_ips=list(settings.trusted_proxies),
        )
        self._server = uvicorn.Server(config)
        self._fault = Sparingly(SERVER_FAULT)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Start serving; return once connections are accepted."""
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve()], name="web")
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(_POLL_INTERVAL)

    def close(self) -> None:
        """Finish the requests in flight, then stop."""
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self._socket.close()

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._report)
        await self._server.serve(sockets=[self._socket])

    def _report(self, _: AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log a fault of the server in a line, once a minute: clients can cause thousands."""
        self._fault.log(error=context.get("exception") or context["message"])
