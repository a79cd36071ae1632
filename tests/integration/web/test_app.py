"""What every response has in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

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


@pytest.mark.parametrize("host", ["", "evil.example", "reconsent.test.evil.example", "127.0.0.1"])
@pytest.mark.parametrize("path", ["/", "/policies", "/c/x", "/v1/permissions", "/mailbox", "/odd"])
def test_the_site_answers_to_its_own_names_only(place: Stage, host: str, path: str) -> None:
    """Nothing is routed for another name, as page or as JSON; probes answer to any."""
    answer = place.runner.run(place.client.get(path, headers={"Host": host}))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    for probe in ("/healthz", "/readyz"):
        assert place.runner.run(place.client.get(probe, headers={"Host": host})).is_success


def test_a_slash_at_the_end_is_no_redirect(place: Stage) -> None:
    """It would lead to the host that the request names, with the secret link in it."""
    for path in ("/policies/", "/c/token/", "/u/token/", "/healthz/"):
        answer = place.runner.run(place.client.get(path))
        assert answer.status_code == 404
        assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("is_open", "token", "status"), [(True, "", 200), (False, "", 401), (False, TOKEN, 200)]
)
def test_the_mailbox_is_shown_to_this_machine(
    place: Stage, tmp_path: Path, token: str, status: int, *, is_open: bool
) -> None:
    """Where others reach the pages, it needs the token."""
    context = replace(place.app.state.context, mailbox=tmp_path, mailbox_is_open=is_open)
    place.app.state.context = context
    headers = {"Authorization": f"Bearer {token}"}
    assert place.runner.run(place.client.get("/mailbox", headers=headers)).status_code == status
    other = place.runner.run(place.client.get("/mailbox/x", headers=headers)).status_code
    assert other == (401 if status == 401 else 404)


def test_what_programs_get_is_not_cached(place: Stage) -> None:
    """Neither answers about people nor errors, also by another name; the stylesheet is."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    paths = ["/v1/accounts/site.example/ann", "/healthz", "/readyz", "/metrics", "/hooks/x"]
    for path in [*paths, "/openapi.json"]:
        for host in ({}, {"Host": "evil.example"}):
            answer = place.runner.run(place.client.get(path, headers=headers | host))
            assert answer.headers["cache-control"] == "no-store"
    asked = place.client.post("/v1/permissions", json={"checks": []}, headers=headers)
    assert place.runner.run(asked).headers["cache-control"] == "no-store"
    style = place.runner.run(place.client.get("/static/site.css"))
    assert "no-store" not in style.headers["cache-control"]


def test_the_description_of_the_api_needs_the_token(place: Stage) -> None:
    """It describes the calls for programs and the probes, and nothing of the pages."""
    assert place.runner.run(place.client.get("/openapi.json")).status_code == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    described = place.runner.run(place.client.get("/openapi.json", headers=headers)).json()
    paths = ["/healthz", "/metrics", "/readyz", "/v1/accounts/{property_name}/{account}"]
    assert sorted(described["paths"]) == [*paths, "/v1/permissions"]


def test_a_wrong_method_is_told_the_right_ones(place: Stage) -> None:
    """405 with Allow, as page and as JSON."""
    for path, allow, form in (
        ("/policies", {"GET", "HEAD"}, "text/html"),
        ("/v1/permissions", {"POST"}, "application/json"),
    ):
        answer = place.runner.run(place.client.put(path))
        assert answer.status_code == 405
        assert answer.headers["content-type"].startswith(form)
        assert set(answer.headers["allow"].split(", ")) == allow
