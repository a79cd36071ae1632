"""Attacks on a real server. While they go on, another person opens the page of her mail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.acceptance.outside import World
from tests.acceptance.people import ANN

Attacked = Callable[[str], AbstractContextManager[None]]

_PATIENCE: Final = 30.0
"""In seconds: a page that takes longer is not served. Busy machines need some."""
_MOST_GROWTH: Final = 150_000
"""In kB."""
_LONGEST_LOG: Final = 20_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests in this folder."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("engines")


def requested(url: str, body: str | None = None) -> int:
    """Make a request, a POST if it has a body; return its status."""
    at = urlsplit(url)
    connection = HTTPConnection(at.hostname or "", at.port, timeout=_PATIENCE)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    with closing(connection):
        connection.request("GET" if body is None else "POST", at.path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status


class _Visitor:
    """Opens a link again and again; remembers how long that took."""

    def __init__(self, world: World, link: str) -> None:
        self._link = link
        self._probe = f"{world.url}/healthz"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._visit)
        self.seconds: list[float] = []
        self.probes: list[float] = []
        self.failed: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _visit(self) -> None:
        while True:
            self.seconds.append(self._timed(self._link))
            self.probes.append(self._timed(self._probe))
            if self._over.wait(0.2):
                return

    def _timed(self, url: str) -> float:
        began = time.monotonic()
        try:
            status = requested(url)
            if status != HTTPStatus.OK:
                self.failed.append(f"{url}: {status}")
        except OSError as error:
            self.failed.append(f"{url}: {error!r}")
        return time.monotonic() - began


@pytest.fixture
def attacked(shop: World) -> Attacked:
    """Return what runs an attack: others are served, memory and log stay small."""
    link = shop.link(ANN["email"])

    @contextmanager
    def attack(name: str) -> Iterator[None]:
        log = shop.folder / "web.log"
        before, logged = _memory(shop.web), log.stat().st_size
        visitor = _Visitor(shop, link)
        visitor.start()
        try:
            yield
        finally:
            visitor.stop()
        grown = _memory(shop.web) - before
        print(  # noqa: T201 -- what was measured
            f"\n{name}: page at most {max(visitor.seconds):.2f} s, health"
            f" {max(visitor.probes):.2f} s of {len(visitor.probes)}; {grown} kB more"
        )
        assert not visitor.failed
        assert grown < _MOST_GROWTH
        assert log.stat().st_size - logged < _LONGEST_LOG

    return attack


def _memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(status.split("VmRSS:")[1].split()[0])
