"""Without the database every page and call is 503."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import pytest

from reconsent.domain.signing import Signer
from reconsent.web.access import HEADERS
from tests.embedded_programs import wait_until
from tests.integration.taken import SECRET, SIGNING, TOKEN, Taken, environment, opened
from tests.routes import routes

NOTICE: Final = UUID(int=7)
TOKENS: Final = {
    "/c": Signer(SECRET).token(NOTICE, "choose"),
    "/u": Signer(SECRET).token(NOTICE, "unsubscribe"),
}


BODIES: Final[dict[str, bytes]] = {
    "/c/{token}": b"all=allow",
    "/c/{token}/answers": b"all=allow",
    "/u/{token}": b"List-Unsubscribe=One-Click",
    "/u/{token}/again": b"",
    "/v1/permissions": json.dumps(
        {
            "checks": [
                {
                    "property": "shop.example",
                    "account": "ann",
                    "data_category": "user.contact",
                    "data_use": "marketing",
                }
            ]
        }
    ).encode(),
    "/hooks/sendgrid": json.dumps(
        [
            {
                "event": "delivered",
                "email": "ann@example.org",
                "timestamp": 1_800_000_000,
                "sg_event_id": "one",
                "reconsent_notice": str(NOTICE),
            }
        ]
    ).encode(),
}


ANSWERED_WITHOUT: Final = {
    "/", "/static/site.css", "/healthz", "/openapi.json",
    "/mailbox", "/mailbox/{mail}", "/mailbox/{mail}/html",
}  # fmt: skip


@pytest.fixture(scope="module")
def taken(make_database: Callable[[], str], server: str) -> Taken:
    """Return a database that can be taken away."""
    return Taken(make_database(), server)


@pytest.fixture(autouse=True)
def _environment(
    taken: Taken,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[None]:
    with environment(taken, tmp_path, monkeypatch, caplog):
        yield


def test_every_route_answers(taken: Taken) -> None:
    """Without a database every route that needs it is 503, with the security headers."""
    with opened() as program:
        web = program.web()
        web.start()
        url = f"http://127.0.0.1:{web.port}"
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            with taken.away():
                answers = dict(_answers(client))
            for (method, path), answer in answers.items():
                status = answer.status_code
                assert (status == 503) == (path not in ANSWERED_WITHOUT), (method, path, status)
                assert status == 503 or status < 500, (method, path, status)
                assert HEADERS.items() <= _shown(answer).items(), (method, path)
            wait_until(lambda: client.get("/readyz").status_code == 200)


def _answers(client: httpx.Client) -> Iterator[tuple[tuple[str, str], httpx.Response]]:
    for route in routes():
        for method in sorted(route.methods or ()):
            body = None if method in {"GET", "HEAD"} else BODIES[route.path]
            yield (
                (method, route.path),
                client.request(
                    method, _url(route.path), content=body, headers=_headers(route.path, body)
                ),
            )


def _shown(answer: httpx.Response) -> dict[str, str]:
    return {name: answer.headers.get(name, "") for name in HEADERS}


def _url(path: str) -> str:
    values: dict[str, Any] = {
        "token": TOKENS.get(path[:2]),
        "policy": "campaigner",
        "version": "v1",
        "name": "shop.example",
        "property_name": "shop.example",
        "account:path": "ann",
        "mail": "1",
    }
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", str(value))
    assert "{" not in path, "a value for the parameter is missing here"
    return path


def _headers(path: str, body: bytes | None) -> dict[str, str]:
    if path == "/hooks/sendgrid" and body is not None:
        return SIGNING.headers(body)
    return {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
