"""What SendGrid gets, and what its answers come to: the real client before a strict stand-in."""

from __future__ import annotations

import logging
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.domain.mail import Recipient
from reconsent.mail.sendgrid.provider import SendGrid
from tests.embedded_programs import wait_until
from tests.mails import MAIL, MARK, clock, people, person
from tests.stand_ins.sendgrid import SendGridStandIn, running_sendgrid

if TYPE_CHECKING:
    from collections.abc import Iterator

SENDER = '"Privacy; Example, Inc." <privacy@example.com>'


@pytest.fixture(scope="module")
def running() -> Iterator[SendGridStandIn]:
    """Yield a strict stand-in of SendGrid."""
    with running_sendgrid() as running:
        yield running


@pytest.fixture
def stand_in(running: SendGridStandIn) -> SendGridStandIn:
    """Return the stand-in, which has forgotten the previous test."""
    running.forget()
    return running


@pytest.fixture
def sendgrid(stand_in: SendGridStandIn) -> SendGrid:
    """Return the provider."""
    return SendGrid(stand_in.api_key, stand_in.host, clock)


def notices(stand_in: SendGridStandIn) -> list[str]:
    """Return the notices whose mails SendGrid accepted."""
    return [one["custom_args"]["reconsent_notice"] for one in stand_in.personalizations()]


def test_a_thousand_people_make_one_request(sendgrid: SendGrid, stand_in: SendGridStandIn) -> None:
    """Each person gets their own link and sees no other recipient."""
    everyone = people(1000)
    mail = replace(MAIL, sender=SENDER)
    assert {result.outcome for result in sendgrid.send(mail, everyone)} == {"accepted"}
    [request] = stand_in.accepted()
    assert request["from"] == {"email": "privacy@example.com", "name": "Privacy Example Inc."}
    assert request["subject"] == MAIL.subject
    assert [part["value"] for part in request["content"]] == [MAIL.text, MAIL.html]
    assert request["personalizations"][7] == {
        "to": [{"email": "p7@example.com", "name": "Person 7"}],
        "substitutions": {MARK: everyone[7].link},
        "custom_args": {"reconsent_notice": everyone[7].notice},
        "headers": {
            "X-Reconsent-Notice": everyone[7].notice,
            "Auto-Submitted": "auto-generated",
            "Content-Language": "nb",
        },
    }
    assert notices(stand_in) == [recipient.notice for recipient in everyone]


def test_recipients_over_the_limit_are_split(sendgrid: SendGrid, stand_in: SendGridStandIn) -> None:
    """No request has more than 1,000 recipients, and nobody is left out."""
    everyone = [person("same@example.com"), *people(2100), person("SAME@example.com")]
    assert {result.outcome for result in sendgrid.send(MAIL, everyone)} == {"accepted"}
    assert sorted(notices(stand_in)) == sorted(recipient.notice for recipient in everyone)


def test_equal_addresses_go_in_separate_requests(
    sendgrid: SendGrid, stand_in: SendGridStandIn
) -> None:
    """Accounts that share an address, in any case or encoding, each get a mail."""
    shared = [
        person(email)
        for email in (
            "ann@example.com", "Ann@Example.com", "bo@example.com", "ANN@EXAMPLE.COM",
            "c@straße.example", "C@xn--strae-oqa.example", "ann@example.com",
        )
    ]  # fmt: skip
    assert {result.outcome for result in sendgrid.send(MAIL, shared)} == {"accepted"}
    assert sorted(notices(stand_in)) == sorted(recipient.notice for recipient in shared)
    assert stand_in.counts() == {"requests": 4, "recipients": 7, "received": 4}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Doe, Ann; <eve@example.com>", "Doe Ann <eve@example.com>"),
        ("Ann\r\nBcc: eve@example.com\x00", "Ann Bcc: eve@example.com"),
        (";,", None),
        (None, None),
    ],
)
def test_names_are_cleaned(
    sendgrid: SendGrid, stand_in: SendGridStandIn, name: str | None, shown: str | None
) -> None:
    """A name that SendGrid would reject, or read as several addresses, is cleaned."""
    assert sendgrid.send(MAIL, [person("ann@example.com", name)])[0].outcome == "accepted"
    [to] = stand_in.personalizations()[0]["to"]
    assert to == {"email": "ann@example.com"} | ({"name": shown} if shown else {})


def test_a_mail_without_a_link_is_sent_as_it_is(
    sendgrid: SendGrid, stand_in: SendGridStandIn
) -> None:
    """A mail without a link has no substitutions."""
    mail = replace(MAIL, text="t", html="h")
    nobody_asked = Recipient(notice="n-1", email="ann@example.com", name=None, link="")
    assert sendgrid.send(mail, [nobody_asked])[0].outcome == "accepted"
    assert "substitutions" not in stand_in.personalizations()[0]


def test_a_bad_address_costs_one_recipient(sendgrid: SendGrid, stand_in: SendGridStandIn) -> None:
    """Whom SendGrid refuses is rejected in its words, without the address; the others get mail."""
    everyone = people(1000)
    everyone[313] = person("dots..dots@example.com")
    everyone[999] = person("refused@example.com")
    everyone[500] = person("no address")
    stand_in.refuse("refused@example.com")
    results = sendgrid.send(MAIL, everyone)
    rejected = {n for n, result in enumerate(results) if result.outcome == "rejected"}
    assert rejected == {313, 500, 999}
    for place in (313, 999):
        reason = str(results[place].reason)
        assert reason.startswith("SendGrid responded 400: Does not contain a valid address")
        assert "@" not in reason
    others = [recipient.notice for n, recipient in enumerate(everyone) if n not in rejected]
    assert sorted(notices(stand_in)) == sorted(others)
    assert stand_in.counts()["received"] < 60


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"subject": ""}, "subject"), ({"text": ""}, "content"), ({"locale": "nø"}, "headers")],
)
def test_a_bad_mail_is_nobodys_fault(
    sendgrid: SendGrid, stand_in: SendGridStandIn, changed: dict[str, str], field: str
) -> None:
    """An error in the mail itself is reported at once; no recipient is rejected."""
    mail = replace(MAIL, **changed)
    with pytest.raises(OutsideError, match=rf"SendGrid responded 400: .*\(.*{field}.*\)"):
        sendgrid.send(mail, people(9))
    assert stand_in.counts() == {"requests": 0, "recipients": 0, "received": 1}


def test_a_wrong_key_is_reported(stand_in: SendGridStandIn) -> None:
    """Nothing is sent, and the message names the setting, not the key."""
    wrong = SendGrid("SG.wrong", stand_in.host, clock)
    with pytest.raises(OutsideError, match=r"SENDGRID_API_KEY.*401.*invalid, expired") as caught:
        wrong.send(MAIL, people(3))
    assert "SG.wrong" not in str(caught.value)
    assert stand_in.counts() == {"requests": 0, "recipients": 0, "received": 1}


def test_a_key_that_goes_bad_meanwhile_loses_nothing(
    sendgrid: SendGrid, stand_in: SendGridStandIn
) -> None:
    """What was accepted stays accepted; the rest is retried."""
    stand_in.next(accept=True)
    stand_in.next(status=403)
    first, second = sendgrid.send(MAIL, [person("a@example.com"), person("A@example.com")])
    assert first.outcome == "accepted"
    assert second.outcome == "retry"
    assert "403" in str(second.reason)
    stand_in.next(status=403)
    with pytest.raises(OutsideError, match="403"):
        sendgrid.send(MAIL, people(1))


def test_a_request_that_is_too_large_is_split(
    sendgrid: SendGrid, stand_in: SendGridStandIn
) -> None:
    """413 halves a request; if one recipient's is still too large, that is an error."""
    stand_in.next(status=413, times=2)
    everyone = people(8)
    assert {result.outcome for result in sendgrid.send(MAIL, everyone)} == {"accepted"}
    assert notices(stand_in) == [recipient.notice for recipient in everyone]
    assert stand_in.counts()["requests"] == 3
    stand_in.next(status=413, times=9)
    with pytest.raises(OutsideError, match="413"):
        sendgrid.send(MAIL, people(2))


@pytest.mark.parametrize(
    "behaviour",
    [
        {"status": 500},
        {"status": 503},
        {"accept": True, "status": 502},
        {"hang_up": True},
        {"accept": True, "hang_up": True},
    ],
    ids=str,
)
def test_an_inconclusive_response_is_unknown(
    sendgrid: SendGrid, stand_in: SendGridStandIn, behaviour: dict[str, object]
) -> None:
    """What may have been accepted is unknown; what was not sent is retried."""
    stand_in.next(**behaviour)
    results = sendgrid.send(MAIL, [person("a@example.com"), person("A@example.com")])
    assert [result.outcome for result in results] == ["unknown", "retry"]
    assert results[0].reason
    assert len(notices(stand_in)) == (1 if "accept" in behaviour else 0)


def test_a_response_that_does_not_come_is_unknown(stand_in: SendGridStandIn) -> None:
    """What was sent may have been accepted, here it was; what was not sent is retried."""
    stand_in.next(accept=True, delay=3600)
    everyone = [person("a@example.com"), person("A@example.com")]
    results = SendGrid(stand_in.api_key, stand_in.host, clock, timeout=1).send(MAIL, everyone)
    assert [result.outcome for result in results] == ["unknown", "retry"]
    assert results[0].reason
    wait_until(lambda: notices(stand_in) == [everyone[0].notice])


def test_an_unreachable_server_is_retried() -> None:
    """After a refused connection or an unknown host nothing can have been accepted."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        for host in (f"http://127.0.0.1:{port}", "http://nothing.invalid"):
            results = SendGrid("key", host, clock, timeout=2).send(MAIL, people(2))
            assert [result.outcome for result in results] == ["retry", "retry"]
            assert "SendGrid cannot be reached" in str(results[0].reason)


def test_a_request_sent_in_part_is_retried() -> None:
    """A server that stops reading in the middle cannot have accepted the request."""
    huge = replace(MAIL, subject="s", text="t" * 20_000_000, html="h", link_mark="")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host = f"http://127.0.0.1:{listening.getsockname()[1]}"
        results = SendGrid("key", host, clock, timeout=0.5).send(huge, people(2))
    assert [result.outcome for result in results] == ["retry", "retry"]


@pytest.mark.parametrize("status", [200, 204, 404, 405])
def test_a_server_other_than_sendgrid_is_reported(
    sendgrid: SendGrid, stand_in: SendGridStandIn, status: int
) -> None:
    """Only 202 means that mail was accepted; other statuses are an error."""
    stand_in.next(status=status)
    with pytest.raises(OutsideError, match=str(status)):
        sendgrid.send(MAIL, people(2))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "api.sendgrid.com",
        "ftp://example.com",
        "https://",
        "https://a b",
        "http://x:y",
        "http://" + "x" * 64,
    ],
)
def test_an_invalid_host_is_reported_at_once(host: str) -> None:
    """The message names the setting."""
    with pytest.raises(BadInputError, match="SENDGRID_HOST"):
        SendGrid("key", host, clock)


@pytest.mark.parametrize("key", ["", " ", "SG.a\nb", "SG.å"])
def test_an_invalid_key_is_reported_at_once(stand_in: SendGridStandIn, key: str) -> None:
    """The message names the setting."""
    with pytest.raises(BadInputError, match="SENDGRID_API_KEY"):
        SendGrid(key, stand_in.host, clock)


def test_no_key_and_no_address_is_logged(
    sendgrid: SendGrid, stand_in: SendGridStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    """At no log level do the key and the addresses appear."""
    with caplog.at_level(logging.DEBUG):
        sendgrid.send(MAIL, people(1))
    assert stand_in.api_key not in caplog.text
    assert "p0@example.com" not in caplog.text
