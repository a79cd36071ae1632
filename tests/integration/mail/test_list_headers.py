"""What each provider makes of mail that people may leave, of mail owed to them, of nasty words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from pathlib import Path
from typing import Final

import pytest

from reconsent.domain.mail import Mail, Provider, Recipient
from reconsent.mail.maildir import Maildir
from reconsent.mail.sendgrid.provider import SendGrid
from reconsent.mail.sendgrid.request import Addressed, request_body
from reconsent.mail.sendgrid.settings import Handling
from tests.integration.smtp_sending import sending
from tests.mails import MAIL, person
from tests.stand_ins.sendgrid import running_sendgrid
from tests.stand_ins.sendgrid_rules import faults
from tests.stand_ins.smtp_server import MailServer

MARK: Final = "%unsubscribe_link%"
LINK: Final = "https://privacy.example.com/u/AbC_-09"
OPTIONAL: Final = Mail(
    sender="Nytt fra Eksempel <news@example.no>",
    subject="Ny versjon: Personvern",
    text=f"Hei!\n\nDu kan melde deg av her:\n{MARK}\n",
    html=f'<p>Hei!</p><a href="{MARK}">{MARK}</a>',
    locale="nb",
    link_mark=MARK,
    list_name="campaigner.example",
)
NASTY: Final = [
    "x\r\nBcc: evil@evil.example",
    "x\nBcc: evil@evil.example\n\nbody",
    "x\rBcc: evil@evil.example",
    "x\n Bcc: evil@evil.example",
    "x\0y",
    "=?utf-8?q?x=0D=0ABcc=3A_evil=40evil.example?=",
    "x\u2028Bcc: evil@evil.example\u2029y",
    "x\x85Bcc: evil@evil.example\x0b\x0c\x1c\x1d\x1ey",
    "x\u202eelpmaxe.live@live",
    '"x" <evil@evil.example>, y; z',
    'x\\" <evil@evil.example>',
    "a" * 10_000,
    "ø " * 5_000,
    "\ud83d\udc4d" * 10,
]
_OWN: Final = {
    "From", "To", "Subject", "Date", "Message-ID", "Content-Language", "Auto-Submitted",
    "MIME-Version", "Content-Type", "X-Reconsent-Notice",
}  # fmt: skip
_OF_LISTS: Final = {"List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"}


@dataclass(frozen=True, kw_only=True)
class Way:
    """A provider, and the last mail that it made; what SendGrid writes itself is left out."""

    provider: Provider
    last: Callable[[], EmailMessage]

    def mail(self, mail: Mail, recipient: Recipient) -> EmailMessage:
        """Send one mail; return it."""
        [result] = self.provider.send(mail, [recipient])
        assert result.outcome == "accepted", result.reason
        return self.last()


@pytest.fixture(params=["maildir", "smtp", "sendgrid"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    """Each provider."""
    if request.param == "maildir":
        yield Way(provider=Maildir(tmp_path), last=lambda: _newest(tmp_path))
    elif request.param == "smtp":
        server = MailServer()
        with sending(server) as smtp:
            yield Way(provider=smtp, last=lambda: _parsed(server.taken[-1].content))
    else:
        with running_sendgrid() as stand_in:
            sendgrid = SendGrid(stand_in.api_key, stand_in.host)
            yield Way(provider=sendgrid, last=lambda: _written(stand_in.accepted()[-1]))


def _parsed(content: bytes) -> EmailMessage:
    return message_from_bytes(content, _class=EmailMessage, policy=default)


def _newest(folder: Path) -> EmailMessage:
    newest = max((folder / "new").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return _parsed(newest.read_bytes())


def _written(request: dict) -> EmailMessage:  # type: ignore[type-arg]  # JSON
    """Return a request as the mail that SendGrid makes of it: it refuses what it cannot write."""
    [one] = request["personalizations"]
    message = EmailMessage()
    for header, who in (("From", request["from"]), ("To", one["to"][0])):
        message[header] = Address(who.get("name", ""), addr_spec=who["email"])
    message["Subject"] = request["subject"]
    for name, value in one["headers"].items():
        message[name] = value
    texts = [part["value"] for part in request["content"]]
    for mark, link in one.get("substitutions", {}).items():
        texts = [text.replace(mark, link) for text in texts]
    message.set_content(texts[0])
    message.add_alternative(texts[1], subtype="html")
    return message


def _text(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_optional_mail_can_be_left_at_once(way: Way) -> None:
    """RFC 8058's headers with the person's own link, which both parts show; its own sender."""
    message = way.mail(OPTIONAL, replace(person(), link=LINK))
    assert message["List-Unsubscribe"] == f"<{LINK}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"] == "<information.campaigner.example>"
    assert message["From"].addresses[0].addr_spec == "news@example.no"
    assert message["Auto-Submitted"] == "auto-generated"
    for subtype in ("plain", "html"):
        part = message.get_body((subtype,))
        assert part is not None
        assert LINK in part.get_content()
        assert MARK not in part.get_content()


def test_each_has_a_link_of_their_own(way: Way) -> None:
    """Nobody can leave for another."""
    for token in ("one", "two"):
        link = f"https://privacy.example.com/u/{token}"
        message = way.mail(OPTIONAL, replace(person(), link=link))
        assert message["List-Unsubscribe"] == f"<{link}>"
        assert link in _text(message)


def test_mail_that_is_owed_cannot_be_left(way: Way) -> None:
    """A choice notice has no header of lists, and says that no person wrote it."""
    message = way.mail(MAIL, person())
    assert not [name for name in message if name.startswith("List-")]
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["From"].addresses[0].addr_spec == "privacy@example.no"


def test_a_list_named_after_no_domain_has_no_id(way: Way) -> None:
    """Nobody else's mail may be taken for it; non-ASCII characters are encoded as usual."""
    message = way.mail(replace(OPTIONAL, list_name="my app!"), replace(person(), link=LINK))
    assert message["List-Id"] is None
    assert message["List-Unsubscribe"]
    message = way.mail(replace(OPTIONAL, list_name="Blåbær.no"), replace(person(), link=LINK))
    assert message["List-Id"] == "<information.xn--blbr-roah.no>"


@pytest.mark.parametrize("nasty", NASTY, ids=lambda text: ascii(text)[:24])
@pytest.mark.parametrize("optional", [True, False], ids=["optional", "owed"])
def test_no_word_adds_a_header(way: Way, nasty: str, optional: bool) -> None:  # noqa: FBT001
    """Whatever subject, names and property hold: our headers, once each, and the one recipient."""
    nasty = nasty.encode("utf-16", "surrogatepass").decode("utf-16")
    mail = replace(OPTIONAL if optional else MAIL, subject=f"Nytt {nasty}")
    if optional:
        mail = replace(mail, list_name=nasty)
    message = way.mail(mail, replace(person("ann@example.com", nasty), link=LINK))
    allowed = _OWN | (_OF_LISTS if optional else set())
    assert {name for name in message} <= allowed  # noqa: C416 -- the names, not the message
    assert len(message.keys()) == len(set(message.keys()))
    assert parseaddr(str(message["To"]))[1] == "ann@example.com"
    assert [one.addr_spec for one in message["To"].addresses] == ["ann@example.com"]
    assert str(message["Subject"]).startswith("Nytt")
    assert str(message["Subject"]).isprintable()
    assert "evil" not in _text(message)


@pytest.mark.parametrize(
    "email",
    [
        "ann@example.com\nBcc: evil@evil.example",
        "ann@example.com\r\nRCPT TO:<evil@evil.example>",
        "ann@example.com, evil@evil.example",
        "<ann@example.com>",
        "ann@example.com\0",
        "ann@exa\u2028mple.com",
        "a" * 10_000 + "@example.com",
        "ann@" + "a" * 10_000,
        "=?utf-8?q?ann?=@example.com\n",
        "",
    ],
    ids=lambda text: ascii(text)[:24],
)
def test_an_address_that_is_none_gets_nothing(way: Way, email: str) -> None:
    """It is refused without being repeated, and the next recipient gets their mail."""
    if email.strip() != email:
        # What stands around an address is no part of it.
        email = email.strip() + "\n@"
    odd, ann = replace(person(email), link=LINK), replace(person("ann@example.com"), link=LINK)
    results = way.provider.send(OPTIONAL, [odd, ann])
    assert [result.outcome for result in results] == ["rejected", "accepted"]
    assert "evil" not in str(results[0].reason)
    assert [one.addr_spec for one in way.last()["To"].addresses] == ["ann@example.com"]


@pytest.mark.parametrize(
    ("personal", "changed"),
    [
        ({"headers": {"List-Unsubscribe": f"<{MARK}>"}}, {}),
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
    """What would be wrong with headers is seen here, and is what its rules find."""
    recipient = replace(person(), link=LINK)
    one = Addressed(place=0, recipient=recipient, address=recipient.email)
    good = request_body(OPTIONAL, [one], Handling())
    assert faults(good, set()) == []
    bad = good | changed | {"personalizations": [good["personalizations"][0] | personal]}
    assert len(faults(bad, set())) == 1
