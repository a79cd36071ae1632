"""What every response has in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import httpx
import pytest

from reconsent.web.access import HEADERS
from tests.integration.stage import TOKEN, Stage, stage


@pytest.fixture(name="place")
def _place(conninfo: str) -> Iterator[Stage]:
    with stage(conninfo) as place:
        yield place


@pytest.mark.parametrize(
    ("path", "content_type"), [("/policies", "text/html"), ("/v1/permissions", "application/json")]
)
def test_an_internal_error_has_the_form_of_its_route(
    place: Stage, path: str, content_type: str
) -> None:
    """An unexpected exception is 500, as a page or as JSON, with all headers and no details."""

    def broken() -> datetime:
        raise KeyError("secret detail")

    place.app.state.context = replace(place.app.state.context, now=broken)
    transport = httpx.ASGITransport(app=place.app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://reconsent.test")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    if path == "/policies":
        asked = client.get(path)
    else:
        asked = client.post(path, json={"checks": []}, headers=headers)
    answer = place.runner.run(asked)
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith(content_type)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "secret detail" not in answer.text
