"""The webhook accepts only signed posts; an invalid one changes nothing and is no server error."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from reconsent.config import settings
from reconsent.domain.errors import BadInputError
from reconsent.mail.sendgrid.webhook import Webhook
from reconsent.program import Program
from tests.integration.sendgrid_place import Place, mailed, report
from tests.stand_ins.sendgrid import running_sendgrid
from tests.stand_ins.sendgrid_webhook import SIGNATURE, TIMESTAMP, Signing

NOW: Final = time.time()


@pytest.fixture(scope="module")
def place(
    make_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Yield a place for this module; each test takes accounts that no other uses."""
    with running_sendgrid() as stand_in:
        home = tmp_path_factory.mktemp("home")
        with mailed(20, stand_in, make_database(), home) as made:
            yield made


def _refused(place: Place, body: bytes, headers: dict[str, str], status: int) -> str:
    answer = place.client.post("/hooks/sendgrid", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"])


def test_only_posts_signed_by_sendgrid_are_accepted(place: Place) -> None:
    """A post that is unsigned, signed by another key, or altered is refused."""
    account, notice = next(place.fresh)
    body = json.dumps([report("bounce", notice, NOW)]).encode()
    headers = place.signing.headers(body)
    forged = [
        {},
        {SIGNATURE: headers[SIGNATURE]},
        {TIMESTAMP: headers[TIMESTAMP]},
        Signing().headers(body),
        headers | {TIMESTAMP: str(int(headers[TIMESTAMP]) + 1)},
        headers | {TIMESTAMP: headers[TIMESTAMP] + ".0"},
        headers | {TIMESTAMP: "²"},
        headers | {TIMESTAMP: "-1"},
        headers | {TIMESTAMP: "9" * 400},
        headers | {SIGNATURE: "no base64!"},
        headers | {SIGNATURE: "bm8gc2lnbmF0dXJl"},
        headers | {SIGNATURE: headers[SIGNATURE][:-8]},
        headers | {SIGNATURE: "é"},
    ]
    for one in forged:
        sent = [(name.encode(), value.encode("latin-1")) for name, value in one.items()]
        answer = place.client.post("/hooks/sendgrid", content=body, headers=sent)
        assert answer.status_code == 403, one
    for changed in (body[:-1], body + b" ", body.replace(b"bounce", b"dropped"), b"", b"\xff"):
        _refused(place, changed, headers, 403)
    assert place.state(account) == "accepted"
    assert place.client.post("/hooks/sendgrid", content=body, headers=headers).status_code == 200
    assert place.state(account) == "bounced"


@pytest.mark.parametrize("aside", [-86_400, -660, 660, 86_400])
def test_a_stale_post_is_refused(place: Place, aside: int) -> None:
    """A valid signature with a time too far in the past or future is refused."""
    account, notice = next(place.fresh)
    answer = place.post(report("bounce", notice, NOW), at=time.time() + aside)
    assert answer.status_code == 403
    assert "more than 10 minutes" in answer.json()["error"]
    assert place.state(account) == "accepted"
    recent = 0.9 * aside * 660 / abs(aside)
    assert place.post(report("bounce", notice, NOW), at=time.time() + recent / 2).is_success


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"{}", b"7", b'"bounce"', b"[1]", b"[null]", b"[[]]", b"[{]",
        b"[" * 200_000, b'{"events": []}', b"event=bounce", b"[{}]\x00", b"[" + b"9" * 5000 + b"]",
    ],
)  # fmt: skip
def test_a_malformed_post_is_refused(place: Place, body: bytes) -> None:
    """A body that is not a list of events is 400, also when it is signed."""
    assert "JSON" in _refused(place, body, place.signing.headers(body), 400)


def test_a_post_that_is_too_large_is_refused(place: Place) -> None:
    """A body over the limit is refused with 413."""
    body = b" " * 8_000_001
    assert "8000000 bytes" in _refused(place, body, place.signing.headers(body), 413)
    assert place.post(report("open", "x", NOW, padding="x" * 7_000_000)).status_code == 200


def test_an_interrupted_post_is_ignored(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that disconnects in the middle changes nothing, and nothing is logged."""
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    _, notice = next(place.fresh)
    body = json.dumps([report("bounce", notice, NOW)]).encode()
    signed = place.signing.headers(body) | {"Host": "x", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    address = (place.client.base_url.host, place.client.base_url.port or 80)
    with socket.create_connection(address) as going_away:
        going_away.sendall(f"POST /hooks/sendgrid HTTP/1.1\r\n{head}\r\n".encode() + body[:-1])
        going_away.shutdown(socket.SHUT_WR)
        while going_away.recv(4096):  # until the server has seen the end and closed
            pass
    # The event loop serves this only after it has told the handler of the disconnection.
    assert place.client.get("/healthz").is_success
    assert place.events(notice) == []
    assert not caplog.records


def test_only_a_post_reports(place: Place) -> None:
    """Any other method is 405."""
    for method in ("GET", "PUT", "DELETE"):
        assert place.client.request(method, "/hooks/sendgrid").status_code == 405


# ---------------------------------------------------------------------- settings and faults


def test_an_unavailable_database_is_reported(
    make_database: Callable[[], str], tmp_path: Path, server: str
) -> None:
    """SendGrid is asked to post again, and the repeated post is recorded."""
    conninfo = make_database()
    name = str(psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"])
    admin = psycopg.conninfo.make_conninfo(server, user="postgres", dbname="postgres")
    with (
        running_sendgrid() as stand_in,
        mailed(1, stand_in, conninfo, tmp_path) as place,
        psycopg.connect(admin, autocommit=True) as connection,
    ):
        account, notice = next(place.fresh)
        allow = psycopg.sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        identifier = psycopg.sql.Identifier(name)
        connection.execute(allow.format(identifier, psycopg.sql.SQL("false")))
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        delivered = report("delivered", notice, NOW)
        answer = place.post(delivered)
        assert answer.status_code == 503
        assert answer.json()["error"].startswith("database: ")
        connection.execute(allow.format(identifier, psycopg.sql.SQL("true")))
        deadline = time.monotonic() + 30
        while not (again := place.post(delivered)).is_success:
            assert time.monotonic() < deadline
        assert again.json()["new"] == 1
        assert place.state(account) == "delivered"


def test_without_a_key_there_is_no_webhook(conninfo: str, home: Path) -> None:
    """The response names the missing setting."""
    environment = {
        "RECONSENT_HOME": str(home),
        "DATABASE_URL": conninfo,
        "RECONSENT_SECRET": "secret of the tests",
        "RECONSENT_API_TOKEN": "token of the tests",
        "RECONSENT_LISTEN": "127.0.0.1:0",
    }
    with Program(settings(environment)) as program:
        web = program.web()
        web.start()
        url = f"http://127.0.0.1:{web.port}/hooks/sendgrid"
        answer = httpx.post(url, content=b"[]", trust_env=False)
    assert answer.status_code == 404
    assert "SENDGRID_WEBHOOK_KEY" in answer.json()["error"]


def _shown(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


@pytest.mark.parametrize(
    "key",
    [
        "not a key", "", "AAAA", "é", "-----BEGIN PUBLIC KEY-----",
        _shown(rsa.generate_private_key(65537, 2048)),
        _shown(ec.generate_private_key(ec.SECP384R1())),
    ],
)  # fmt: skip
def test_an_invalid_key_is_reported(key: str) -> None:
    """The message names the setting."""
    with pytest.raises(BadInputError, match="SENDGRID_WEBHOOK_KEY"):
        Webhook(key)


def test_a_key_may_have_either_form() -> None:
    """Base64 as SendGrid shows it, with or without line breaks, and PEM."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = _shown(private)
    Webhook(pem)
    Webhook("".join(pem.splitlines()[1:-1]))
