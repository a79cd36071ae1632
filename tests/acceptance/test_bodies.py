"""Request bodies from outside: those that are too large are refused and never kept in memory."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx
import pytest

from reconsent.domain.signing import Signer
from reconsent.web.bodies import LIMITS
from tests.acceptance.outside import API_TOKEN, World
from tests.routes import paths_with_body
from tests.stand_ins.sendgrid_webhook import Signing

_SECRET: Final = "secret of the tests"
_CHUNK: Final = b"x" * 1_000_000
_MEGABYTES: Final = 300
_MOST_GROWTH: Final = 50_000
"""In kB: the largest limit is 16 MB."""
_PATHS: Final = paths_with_body()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world where links can be made, and where SendGrid's posts are wanted."""
    made = World(tmp_path_factory.mktemp("world"))
    made.environment |= {
        "RECONSENT_SECRET": _SECRET,
        "SENDGRID_WEBHOOK_KEY": Signing().public_key,
    }
    return made


def _address(path: str) -> str:
    """Fill in a link that was made here, so that the body is the first thing to refuse."""
    purpose = "unsubscribe" if path.startswith("/u/") else "choose"
    return path.replace("{token}", Signer(_SECRET).token(uuid4(), purpose))  # type: ignore[arg-type]


def _head(web: httpx.Client, path: str, *more: str) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: {web.base_url.host}",
        f"Authorization: Bearer {API_TOKEN}",
        "Content-Type: application/json",
        *more,
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def _connect(web: httpx.Client) -> socket.socket:
    return socket.create_connection((web.base_url.host, web.base_url.port or 80), timeout=60)


def _answer(connection: socket.socket) -> bytes:
    """Return the response so far; nothing if the connection was cut."""
    answer = b""
    try:
        while part := connection.recv(65_536):
            answer += part
            if b"\r\n\r\n" in answer:
                return answer
    except ConnectionError:
        pass
    return answer


def _kilobytes(pid: int, what: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    found = re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.fixture
def memory(world: World) -> Iterator[None]:
    """The process that serves the pages grows by little while the test runs."""
    Path(f"/proc/{world.web}/clear_refs").write_text("5", "utf-8")  # begins a new peak
    before = _kilobytes(world.web, "VmRSS")
    yield
    assert _kilobytes(world.web, "VmHWM") - before < _MOST_GROWTH


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory from /proc")
@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("path", _PATHS)
def test_a_body_without_end_is_refused(web: httpx.Client, path: str) -> None:
    """300 MB in chunks, without a stated size, get 413 or are cut, and are not kept."""
    with _connect(web) as connection:
        connection.sendall(_head(web, _address(path), "Transfer-Encoding: chunked"))
        try:
            for _ in range(_MEGABYTES):
                connection.sendall(b"%x\r\n%b\r\n" % (len(_CHUNK), _CHUNK))
            connection.sendall(b"0\r\n\r\n")
        except ConnectionError:
            pass
        assert _answer(connection)[:12] in {b"HTTP/1.1 413", b""}
    assert web.get("/healthz").is_success


@pytest.mark.parametrize("path", _PATHS)
def test_a_stated_size_is_refused_before_the_body_comes(web: httpx.Client, path: str) -> None:
    """One byte over the limit is 413 without reading any, as page or JSON, with all headers."""
    with _connect(web) as connection:
        connection.sendall(_head(web, _address(path), f"Content-Length: {LIMITS[path] + 1}"))
        answer = _answer(connection).decode()
    assert answer.startswith("HTTP/1.1 413")
    assert "content-security-policy: default-src 'none'" in answer
    for_programs = path.startswith(("/v1/", "/hooks/"))
    assert f"content-type: {'application/json' if for_programs else 'text/html'}" in answer


@pytest.mark.parametrize("path", _PATHS)
def test_a_body_at_the_limit_is_read(web: httpx.Client, path: str) -> None:
    """A body of exactly the limit is accepted."""
    parts = (b" " * part for part in (LIMITS[path] - 1, 1))
    headers = {"Authorization": f"Bearer {API_TOKEN}", "Content-Type": "application/json"}
    answer = web.post(_address(path), content=parts, headers=headers)
    assert answer.status_code in {403, 404, 422}


def test_nothing_is_read_without_a_valid_token(web: httpx.Client) -> None:
    """Without a valid token the response comes before the body is read."""
    for path, status in (("/c/x", 404), ("/c/x/answers", 404), ("/u/x", 404)):
        with _connect(web) as connection:
            connection.sendall(_head(web, path, "Content-Length: 10"))
            assert _answer(connection).startswith(f"HTTP/1.1 {status}".encode()), path
    with _connect(web) as connection:
        head = _head(web, "/v1/permissions", "Content-Length: 10")
        connection.sendall(head.replace(API_TOKEN.encode(), b"wrong"))
        assert _answer(connection).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("path", _PATHS)
def test_a_client_that_disconnects_leaves_no_trace(
    world: World, web: httpx.Client, path: str
) -> None:
    """A body that breaks off is not an error of the program: the log stays empty."""
    with _connect(web) as connection:
        connection.sendall(_head(web, _address(path), "Content-Length: 10") + b"12345")
    checked = web.post(
        "/v1/permissions",
        json={"checks": []},
        headers={"Authorization": f"Bearer {API_TOKEN}"},
    )
    assert json.loads(checked.text) == {"answers": []}
    log = (world.folder / "web.log").read_text("utf-8")
    assert "Traceback" not in log
    assert "ERROR" not in log
