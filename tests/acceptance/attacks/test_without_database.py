"""The database is gone, and comes back: nobody waits long, and health is told at once."""

from __future__ import annotations

import os
import signal
import time
from http import HTTPStatus
from typing import Final

import httpx

from tests.acceptance.outside import World
from tests.acceptance.people import ANN
from tests.embedded_programs import postmaster_of

_PATIENCE: Final = 60.0
_RESTARTS: Final = 3


def test_pages_say_so_and_come_back(shop: World, web: httpx.Client) -> None:
    """Each is the page or the error page, never a bare error; probes are answered meanwhile."""
    link = shop.link(ANN["email"])
    longest = {"/healthz": 0.0, link: 0.0}
    for _ in range(_RESTARTS):
        os.kill(postmaster_of(shop.home), signal.SIGKILL)
        until = time.monotonic() + _PATIENCE
        while True:
            assert time.monotonic() < until
            assert _timed(web, "/healthz", longest).status_code == HTTPStatus.OK
            page = _timed(web, link, longest)
            assert page.status_code in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}
            assert "content-security-policy" in page.headers
            assert "</html>" in page.text
            if page.is_success:
                break
    print(f"\nhealth {longest['/healthz']:.2f} s, the page {longest[link]:.2f} s at most")  # noqa: T201


def _timed(web: httpx.Client, url: str, longest: dict[str, float]) -> httpx.Response:
    began = time.monotonic()
    answer = web.get(url)
    longest[url] = max(longest[url], time.monotonic() - began)
    return answer
