"""Sending over SMTP, with a real client and a real server."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.signing import Signer
from reconsent.mail.mime import MimeMail
from reconsent.mail.return_path import ReturnPath
from reconsent.mail.smtp.provider import Smtp
from tests.integration.smtp_sending import NOON, outcomes, parsed, reached, sending
from tests.mails import MAIL, MARK, people, person
from tests.stand_ins.smtp_server import MailServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[True, False], ids=["pipelining", "one by one"])
def server(request: pytest.FixtureRequest) -> MailServer:
    """Return a mail server, with PIPELINING and without."""
    return MailServer(pipelining=request.param)


@pytest.fixture
def smtp(server: MailServer) -> Iterator[Smtp]:
    """Yield the provider, with one connection to the server."""
    with sending(server) as provider:
        yield provider


def test_a_mail_equals_the_mailboxs(smtp: Smtp, server: MailServer) -> None:
    """It equals a mail rendered from scratch, byte for byte, with CRLF, and parses correctly."""
    everyone = [person("ann@example.com", "Åse Ødegård"), *people(60)]
    assert set(outcomes(smtp.send(MAIL, everyone))) == {"accepted"}
    assert reached(server) == [recipient.email for recipient in everyone]
    for taken, recipient in zip(server.taken, everyone, strict=True):
        alone = MimeMail(MAIL, date=NOON)
        scratch = alone.addressed(recipient, recipient.email)
        assert taken.content == scratch.replace(b"\n", b"\r\n")
        assert taken.sender == "privacy@example.no"
        message = parsed(taken.content)
        assert not message.defects
        assert message["Message-ID"] == f"<{recipient.notice}@example.no>"
        assert message["X-Reconsent-Notice"] == recipient.notice
        assert message["To"].addresses[0].display_name == recipient.name
        for subtype, text in (("plain", MAIL.text), ("html", MAIL.html)):
            part = message.get_body((subtype,))
            assert part
            content = part.get_content().replace("\r\n", "\n")
            assert content == text.replace(MARK, recipient.link)


def test_each_mail_has_a_return_path_of_its_own(server: MailServer) -> None:
    """It names the notice; the mail itself does not change, and its sender is as before."""
    returns = ReturnPath("bounces@returns.example", Signer("secret of the tests"))
    everyone = people(60)
    with sending(server, return_path=returns) as smtp:
        assert set(outcomes(smtp.send(MAIL, everyone))) == {"accepted"}
    assert [str(returns.notice(taken.sender)) for taken in server.taken] == [
        recipient.notice for recipient in everyone
    ]
    for taken, recipient in zip(server.taken, everyone, strict=True):
        scratch = MimeMail(MAIL, date=NOON).addressed(recipient, recipient.email)
        assert taken.content == scratch.replace(b"\n", b"\r\n")


@given(
    text=st.text(alphabet=st.sampled_from("a.\n\r= ø")),
    path=st.text(alphabet=st.sampled_from("a.=~"), max_size=300),
    name=st.text(max_size=150),
)
def test_what_is_transmitted_is_what_is_written(text: str, path: str, name: str) -> None:
    """For any mail, link and name: without dot-stuffing it is the mailbox's message."""
    mail = replace(MAIL, subject=f"{text}.", text=f"{text}{MARK}{text}", html=text)
    recipient = replace(person(name=name), link=path)
    mime = MimeMail(mail, date=NOON)
    transmitted = mime.transmitted(recipient, recipient.email)
    assert transmitted.endswith(b"\r\n")
    lines = transmitted.split(b"\r\n")
    assert b"." not in lines
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert all(line.startswith(b"..") for line in lines if line.startswith(b"."))
    undone = b"\n".join(line[1:] if line.startswith(b".") else line for line in lines)
    assert undone == mime.addressed(recipient, recipient.email)


@pytest.mark.parametrize(
    ("email", "name"),
    [
        ("ann@example.com", "Ann\r\nBcc: eve@example.com"),
        ("ann@example.com", 'Ann" <eve@example.com>, "Bo'),
        ("ann@example.com", "\r\n.\r\nMAIL FROM:<eve@example.com>\r\n"),
        ("ann@example.com>\r\nRCPT TO:<eve@example.com", None),
        ("ann@example.com> SIZE=1", None),
    ],
)
def test_nothing_can_be_injected(
    smtp: Smtp, server: MailServer, email: str, name: str | None
) -> None:
    """A name or an address adds no command, no header and no recipient."""
    first, last = smtp.send(MAIL, [person(email, name), person("bo@example.com")])
    assert last.outcome == "accepted"
    assert first.outcome == ("accepted" if name else "rejected")
    assert reached(server) == (["ann@example.com"] if name else []) + ["bo@example.com"]
    assert {taken.sender for taken in server.taken} == {"privacy@example.no"}
    for taken in server.taken:
        assert "Bcc" not in parsed(taken.content)


@pytest.mark.parametrize("link", ["https://p.example/\r\n.\r\nMAIL FROM:<>", "a\rb", "a\nb", "\0"])
def test_a_link_is_one_line(smtp: Smtp, server: MailServer, link: str) -> None:
    """An invalid link is a programming error, and nothing is sent."""
    with pytest.raises(ExceptionGroup) as caught:
        smtp.send(MAIL, [replace(person(), link=link)])
    assert caught.group_contains(ValueError, match="is not a valid link")
    assert not server.taken


def test_non_ascii_before_the_at(server: MailServer, smtp: Smtp) -> None:
    """Such an address is sent to a server that supports it, and is in the header."""
    smtp.send(MAIL, [person("åse@straße.example", "Åse"), person("a\u030ase@example.com")])
    assert reached(server) == ["åse@xn--strae-oqa.example", "åse@example.com"]
    taken = server.taken[0]
    assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(taken.options)
    assert parsed(taken.content)["To"].addresses[0].display_name == "Åse"
    assert "<åse@xn--strae-oqa.example>".encode() in taken.content
    smtp.send(MAIL, [person("ann@example.com")])
    assert "SMTPUTF8" not in server.taken[-1].options


def test_non_ascii_is_refused_clearly() -> None:
    """Such an address is rejected if the server does not support it; the reason says so."""
    server = MailServer(smtputf8=False)
    with sending(server) as smtp:
        first, last = smtp.send(MAIL, [person("åse@example.com"), person("ann@example.com")])
    assert first.outcome == "rejected"
    assert "SMTPUTF8" in str(first.reason)
    assert last.outcome == "accepted"
    assert reached(server) == ["ann@example.com"]


def test_a_mail_over_the_size_limit_rejects_nobody() -> None:
    """The server's limit is checked before sending and reported; smaller sizes are announced."""
    server = MailServer(size=100_000)
    with sending(server) as smtp:
        large = replace(MAIL, text="x" * 100_000)
        results = smtp.send(large, people(3))
        assert outcomes(results) == ["retry"] * 3
        assert "the mail server accepts 100000" in str(results[2].reason)
        assert {result.not_before for result in results} == {NOON + timedelta(minutes=15)}
        assert outcomes(smtp.send(MAIL, people(1))) == ["accepted"]
    [taken] = server.taken
    sizes = [option for option in taken.options if option.startswith("SIZE=")]
    doubled_dots = taken.content.count(b"\r\n.")
    assert sizes == [f"SIZE={len(taken.content) + doubled_dots}"]


def test_connections_are_kept() -> None:
    """A few connections are reused; a mail to few people needs only one."""
    server = MailServer()
    with sending(server, "connections=3") as smtp:
        smtp.send(MAIL, people(2))
        assert server.connections == 1
        for _ in range(3):
            assert set(outcomes(smtp.send(MAIL, people(200)))) == {"accepted"}
        assert server.connections == 3
    assert len(reached(server)) == 602


def test_a_long_mail_arrives_whole(server: MailServer, smtp: Smtp) -> None:
    """A mail larger than the socket's buffer is sent in parts to each recipient."""
    long = replace(MAIL, text=f"{'Blåbær ' * 40}\n.\n" * 2000)
    assert outcomes(smtp.send(long, people(3))) == ["accepted"] * 3
    for taken in server.taken:
        part = parsed(taken.content).get_body(("plain",))
        assert part
        assert part.get_content().replace("\r\n", "\n") == long.text
