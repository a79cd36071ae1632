"""Connections that keep the server waiting are dropped; the others are served."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from fastapi import FastAPI, Request, Response

from reconsent.web import connections
from reconsent.web.serving import Web
from reconsent.web.settings import web_settings

_MOST = 5
_LARGE = 50_000_000
_HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
_POST = b"POST /body HTTP/1.1\r\nHost: x\r\n"


def _app(begun: threading.Event, asked: threading.Event) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def page() -> Response:
        return Response("a page")

    @app.get("/from")
    async def comes_from(request: Request) -> Response:
        return Response(request.client.host if request.client else "nowhere")

    @app.get("/large")
    async def large() -> Response:
        return Response(b"x" * _LARGE)

    @app.get("/slow")
    async def slow() -> Response:
        begun.set()
        await asyncio.to_thread(asked.wait)
        return Response("at last")

    @app.post("/body")
    async def body(request: Request) -> Response:
        return Response(str(len(await request.body())))

    return app


class _Site:
    """A server that holds few connections, and the connections to it."""

    def __init__(self, **environment: str) -> None:
        self._stack = ExitStack()
        self.begun, self.asked = threading.Event(), threading.Event()
        self.web = Web(
            _app(self.begun, self.asked),
            web_settings({"RECONSENT_LISTEN": "127.0.0.1:0"} | environment),
        )
        self.web.start()

    def connect(self, sent: bytes = b"") -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.web.port), timeout=30)
        self._stack.enter_context(made)
        made.sendall(sent)
        return made

    def close(self) -> None:
        self._stack.close()
        self.web.close()

    def is_served(self) -> bool:
        return b"a page" in received(self.connect(_HEAD + b"Connection: close\r\n\r\n"))


def received(connection: socket.socket) -> bytes:
    """Return all that comes until the connection ends, however it does."""
    parts = []
    try:
        while part := connection.recv(1_000_000):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Site]:
    """A server with limits that a test reaches at once."""
    monkeypatch.setattr(connections, "MOST", _MOST)
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 1.0)
    made = _Site()
    yield made
    made.close()


@pytest.mark.parametrize("sent", [b"", b"GET /", _HEAD, _HEAD + b"\r\n" + _HEAD])
def test_a_head_that_does_not_come_is_not_waited_for(site: _Site, sent: bytes) -> None:
    """Nothing, part of it, or a second one on a connection that was served."""
    silent = site.connect(sent)
    assert received(silent).count(b"a page") == sent.count(b"\r\n\r\n")
    assert site.is_served()


def test_a_head_that_trickles_is_not_waited_for(site: _Site) -> None:
    """The time is counted from when it may begin, not from its last byte."""
    slow = site.connect(_HEAD)
    with suppress(ConnectionError):
        while True:
            slow.sendall(b"X-a: b\r\n")
            time.sleep(0.05)
    assert site.is_served()


@pytest.mark.parametrize(
    "body", [b"Content-Length: 9\r\n\r\n1234", b"Transfer-Encoding: chunked\r\n\r\n5\r\n1"]
)
def test_a_body_that_does_not_come_is_not_waited_for(site: _Site, body: bytes) -> None:
    """With and without a stated length."""
    assert received(site.connect(_POST + body)) == b""
    assert site.is_served()


def test_a_client_that_does_not_read_is_dropped(site: _Site) -> None:
    """Its response is not kept for it."""
    deaf = site.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    for open_now in (1, 0):
        while len(site.web.connections) != open_now:
            time.sleep(0.05)
    assert len(received(deaf)) < _LARGE


def test_the_connection_that_was_idle_longest_gives_way(
    site: _Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are kept, and who is being answered is never dropped."""
    for limit in ("HEAD_SECONDS", "REQUEST_SECONDS"):
        monkeypatch.setattr(connections, limit, 600.0)
    answered = site.connect(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert site.begun.wait(60)
    silent = [site.connect() for _ in range(10 * _MOST)]
    for one in silent[:-_MOST]:
        assert received(one) == b""
    assert site.is_served()
    site.asked.set()
    assert b"at last" in received(answered)


def test_dropping_is_logged_once_a_minute(site: _Site, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever opens thousands of connections does not fill the disk."""
    with caplog.at_level(logging.WARNING):
        for one in [site.connect() for _ in range(20 * _MOST)]:
            received(one)
    [line] = [record.getMessage() for record in caplog.records]
    assert line == (
        "web: 1 connections were dropped, which kept the server waiting for too long or had to give"
        " way to others"
    )


@pytest.mark.parametrize(
    ("proxies", "said", "believed"),
    [
        ("", "203.0.113.7", "127.0.0.1"),
        ("10.0.0.0/8", "203.0.113.7", "127.0.0.1"),
        ("127.0.0.0/8", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.0/8", "203.0.113.7, 10.0.0.1", "10.0.0.1"),
        ("127.0.0.0/8, 10.0.0.0/8", "198.51.100.9, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
    ],
)
def test_where_a_request_comes_from(proxies: str, said: str, believed: str) -> None:
    """The last address that no trusted proxy has counts; without trust, nothing that is said."""
    site = _Site(RECONSENT_TRUSTED_PROXIES=proxies)
    try:
        head = f"GET /from HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: {said}\r\n"
        answer = received(site.connect(f"{head}\r\n".encode()))
        assert answer.decode().endswith(f"\r\n\r\n{believed}")
    finally:
        site.close()


@pytest.mark.parametrize(
    ("soft", "hard", "most", "raised"),
    [
        (1_024, 4_096, 1_000, 1_384),
        (1_024, 1_024, 640, None),
        (20_000, 20_000, 1_000, None),
        (64, 64, 1, None),
        (-1, -1, 1_000, None),
        (1_024, -1, 1_000, 1_384),
    ],
)
def test_descriptors_are_left_for_the_database(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, most: int, raised: int | None
) -> None:
    """The limit of descriptors is raised where it may be; else fewer connections are held."""
    limits = [(soft, hard)]

    def set_limit(_: int, limit: tuple[int, int]) -> None:
        limits.append(limit)

    get_limit: Callable[[int], tuple[int, int]] = lambda _: limits[0]  # noqa: E731
    monkeypatch.setattr(resource, "getrlimit", get_limit)
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    assert connections.most_connections() == most
    assert limits[1:] == ([(raised, hard)] if raised else [])
