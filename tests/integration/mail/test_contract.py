"""Each provider keeps the contract: maildir, SMTP and SendGrid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from reconsent.mail.maildir import Maildir
from reconsent.mail.sendgrid.provider import SendGrid
from reconsent.mail.sendgrid.request import Addressed, request_body
from reconsent.mail.sendgrid.settings import Handling
from tests.integration.smtp_sending import sending
from tests.mail_contract import LINK, OPTIONAL, UNSUBSCRIBE, FarContract, MailContract, Way
from tests.mails import clock, person
from tests.stand_ins.sendgrid import running_sendgrid
from tests.stand_ins.sendgrid_rules import faults
from tests.stand_ins.smtp_server import TAKE_AND_HANG_UP, MailServer, Taken


class TestMaildir(MailContract):
    """A mailbox on this machine."""

    @pytest.fixture(scope="class")
    @classmethod
    def way(cls, tmp_path_factory: pytest.TempPathFactory) -> Way:
        """A mailbox, which is down while its folder for drafts is away."""
        folder = tmp_path_factory.mktemp("mail")
        new = folder / "new"

        @contextmanager
        def down() -> Iterator[None]:
            away = (folder / "tmp").rename(folder / "away")
            yield
            away.rename(folder / "tmp")

        return Way(
            provider=Maildir(folder, clock),
            notices=lambda: [path.name for path in _by_age(new)],
            message=lambda notice: _parsed((new / notice).read_bytes()),
            down=down,
        )


class TestSmtp(FarContract):
    """A mail server."""

    @pytest.fixture(scope="class")
    @classmethod
    def way(cls) -> Iterator[Way]:
        """A server, which refuses every sender while it is down."""
        server = MailServer()

        def message(notice: str) -> EmailMessage:
            return _parsed([one.content for one in server.taken if _notice(one) == notice][-1])

        @contextmanager
        def down() -> Iterator[None]:
            server.odd["MAIL"].extend(["451 4.3.0 Not now"] * 9)
            yield
            server.odd["MAIL"].clear()

        def refuse(email: str) -> None:
            server.odd_for["RCPT", email] = f"550 5.1.1 <{email}>: no such user"

        with sending(server) as smtp:
            yield Way(
                provider=smtp,
                notices=lambda: [_notice(taken) for taken in server.taken],
                message=message,
                down=down,
                refuse=refuse,
                lose_answer=lambda: server.odd["."].append(TAKE_AND_HANG_UP),
            )


class TestSendGrid(FarContract):
    """SendGrid's API."""

    @pytest.fixture(scope="class")
    @classmethod
    def way(cls) -> Iterator[Way]:
        """A strict stand-in, which limits the rate while it is down."""
        with running_sendgrid(keep=9) as stand_in:

            def notices() -> list[str]:
                personal = stand_in.personalizations()
                return [str(one["custom_args"]["reconsent_notice"]) for one in personal]

            @contextmanager
            def down() -> Iterator[None]:
                stand_in.next(status=429)
                yield

            yield Way(
                provider=SendGrid(stand_in.api_key, stand_in.host, clock),
                notices=notices,
                message=lambda notice: _written(stand_in.accepted(), notice),
                down=down,
                refuse=stand_in.refuse,
                lose_answer=lambda: stand_in.next(accept=True, status=502),
            )


def _notice(taken: Taken) -> str:
    """Return whose message was taken; to parse a thousand whole ones would take seconds."""
    found = re.search(rb"^X-Reconsent-Notice: (\S+)\r$", taken.content, re.MULTILINE)
    assert found
    return found[1].decode()


def _by_age(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def _parsed(content: bytes) -> EmailMessage:
    return message_from_bytes(content, _class=EmailMessage, policy=default)


def _written(requests: list[dict[str, Any]], notice: str) -> EmailMessage:
    """Return what was accepted for a notice as SendGrid would write it; a bad header raises."""
    request, one = [
        (request, one)
        for request in requests
        for one in request["personalizations"]
        if one["custom_args"]["reconsent_notice"] == notice
    ][-1]
    message = EmailMessage()
    for header, who in (("From", request["from"]), ("To", one["to"][0])):
        message[header] = Address(who.get("name", ""), addr_spec=who["email"])
    message["Subject"] = request["subject"]
    texts = [part["value"] for part in request["content"]]
    for mark, link in one.get("substitutions", {}).items():
        texts = [text.replace(mark, link) for text in texts]
    message.set_content(texts[0])
    message.add_alternative(texts[1], subtype="html")
    # Last: whatever sets the content removes the Content- headers that are there.
    for name, value in one["headers"].items():
        message[name] = value
    return message


@pytest.mark.parametrize(
    ("personal", "changed"),
    [
        ({"headers": {"List-Unsubscribe": f"<{UNSUBSCRIBE}>"}}, {}),
        ({"headers": {"List-Unsubscribe": f"<{LINK}>\r\nBcc: evil@evil.example"}}, {}),
        ({"headers": {"Reply-To": "evil@evil.example"}}, {}),
        ({"headers": {"List-Unsubscribe:": "x"}}, {}),
        ({}, {"subject": "x\nBcc: evil@evil.example"}),
        ({"to": [{"email": "a@b.example", "name": "x\r\nBcc: evil@evil.example"}]}, {}),
    ],
    ids=["a tag", "two lines", "reserved", "a name", "subject", "name"],
)
def test_the_stand_in_is_strict_about_headers(
    personal: dict[str, object], changed: dict[str, object]
) -> None:
    """A header that would be wrong is seen in the contract, and the stand-in's rules find it."""
    recipient = replace(person(), link=LINK)
    one = Addressed(place=0, recipient=recipient, address=recipient.email)
    good = request_body(OPTIONAL, [one], Handling())
    assert faults(good, set()) == []
    bad = good | changed | {"personalizations": [good["personalizations"][0] | personal]}
    assert len(faults(bad, set())) == 1
