"""Connections that say nothing, little, or too much, and many at once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Final
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from tests.acceptance.attacks.conftest import Attacked, requested
from tests.acceptance.outside import World
from tests.acceptance.people import account, collection

_SECONDS: Final = 12
"""Longer than the server waits for the head of a request."""
_SILENT: Final = 1_100
_POSTS: Final = 300
_MEGABYTE: Final = b"x" * 1_000_000

_SENT: Final = {
    "silent": b"",
    "slow heads": b"GET /policies HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ",
    "slow bodies": b"POST /u/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n",
    "slow bodies for the API": (
        b"POST /v1/permissions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"
    ),
    "slow bodies for the webhook": (
        b"POST /hooks/sendgrid HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"
    ),
}


@pytest.fixture
def connect(shop: World) -> Iterator[Callable[[], socket.socket]]:
    """Return what opens a connection, which is closed in the end."""
    at = urlsplit(shop.url)
    with ExitStack() as opened:

        def connect() -> socket.socket:
            made = socket.create_connection((at.hostname, at.port), timeout=30)
            return opened.enter_context(made)

        yield connect


@pytest.mark.parametrize("kind", _SENT)
def test_connections_that_keep_waiting(
    attacked: Attacked, connect: Callable[[], socket.socket], kind: str
) -> None:
    """1,100 of them, each of which goes on a byte a second, and is opened again when cut."""
    until = time.monotonic() + _SECONDS
    with attacked(f"{_SILENT} connections, {kind}"):
        ours: list[socket.socket] = []
        while time.monotonic() < until:
            while len(ours) < _SILENT:
                ours.append(connect())
                with suppress(ConnectionError):
                    ours[-1].sendall(_SENT[kind])
            ours = [one for one in ours if kind == "silent" or _goes_on(one)]
            time.sleep(1)


def _goes_on(one: socket.socket) -> bool:
    try:
        one.sendall(b"x")
    except ConnectionError:
        one.close()
        return False
    return True


@pytest.mark.parametrize("path", ["/c/x", "/u/x", "/v1/permissions", "/hooks/sendgrid", "/odd"])
def test_a_body_of_200_megabytes(
    attacked: Attacked, connect: Callable[[], socket.socket], path: str
) -> None:
    """With a stated size, and in chunks; nobody else notices."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
    with attacked(f"200 MB to {path}"), suppress(ConnectionError):
        one = connect()
        one.sendall(head + b"Content-Length: 200000000\r\n\r\n")
        for _ in range(200):
            one.sendall(_MEGABYTE)
    with attacked(f"200 MB in chunks to {path}"), suppress(ConnectionError):
        one = connect()
        one.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(200):
            one.sendall(b"%x\r\n%b\r\n" % (len(_MEGABYTE), _MEGABYTE))


def test_300_posts_of_one_link_at_once(attacked: Attacked, shop: World, web: httpx.Client) -> None:
    """One person's link slows nobody else: most are told to come later, none fails."""
    shop.take("import", "accounts", [account("dee")])
    shop.take("import", "collections", [collection("dee")])
    shop.work()
    link = shop.link("dee@people.test")
    mark = web.get(link).text.split('name="ask" value="')[1].split('"')[0]
    statuses: list[int] = []

    def post() -> None:
        statuses.append(requested(link, urlencode({"ask": mark, "all": "allow"})))

    with attacked(f"{_POSTS} posts of one link"):
        posting = [threading.Thread(target=post) for _ in range(_POSTS)]
        for one in posting:
            one.start()
        for one in posting:
            one.join()
    assert set(statuses) <= {303, 429}
    assert 303 in statuses


def test_200_busy_visitors(attacked: Attacked, shop: World) -> None:
    """Everybody is served, if later."""
    statuses: list[int] = []

    def visit() -> None:
        statuses.extend(requested(f"{shop.url}/policies/shop") for _ in range(5))

    with attacked("200 busy visitors"):
        visiting = [threading.Thread(target=visit) for _ in range(200)]
        for one in visiting:
            one.start()
        for one in visiting:
            one.join()
    assert set(statuses) <= {200, 429, 503}
    assert statuses.count(200) > len(statuses) / 2
