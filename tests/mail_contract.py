"""What every mail provider promises: run against each of them.

A subclass has the fixture `way`. What only a service elsewhere can do, such as refuse a recipient,
is in FarContract.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from email.message import EmailMessage
from typing import Final

import pytest

from reconsent.domain.errors import OutsideError
from reconsent.domain.mail import Mail, Provider, Recipient, Result
from tests.mails import MAIL, MARK, people, person

UNSUBSCRIBE: Final = "%unsubscribe_link%"
LINK: Final = "https://privacy.example.com/u/AbC_-09"
OPTIONAL: Final = Mail(
    sender="Nytt fra Eksempel <news@example.no>",
    subject="Ny versjon: Personvern",
    text=f"Hei!\n\nDu kan melde deg av her:\n{UNSUBSCRIBE}\n",
    html=f'<p>Hei!</p><a href="{UNSUBSCRIBE}">{UNSUBSCRIBE}</a>',
    locale="nb",
    link_mark=UNSUBSCRIBE,
    list_name="campaigner.example",
)
NASTY: Final = [
    "x\r\nBcc: evil@evil.example",
    "x\nBcc: evil@evil.example\n\nbody",
    "x\rBcc: evil@evil.example",
    "x\n Bcc: evil@evil.example",
    "\r\n.\r\nMAIL FROM:<evil@evil.example>\r\n",
    "x\0y",
    "=?utf-8?q?x=0D=0ABcc=3A_evil=40evil.example?=",
    "x\u2028Bcc: evil@evil.example\u2029y",
    "x\x85Bcc: evil@evil.example\x0b\x0c\x1c\x1d\x1ey",
    "x\u202eelpmaxe.live@live",
    '"x" <evil@evil.example>, y; z',
    'x" <evil@evil.example>, "y',
    'x\\" <evil@evil.example>',
    "x (comment) \\",
    "a" * 10_000,
    "ø " * 5_000,
    "\U0001f44d" * 10,
]
UNUSABLE: Final = [
    "", "ann", "@example.com", "ann@", "a b@example.com", "ann@exa mple.com", "<ann@example.com>",
    "ann@-example.com", "ann@example..com", "ann@\u2488.com\u2488\u2488", "ann@exa\u2028mple.com",
    "ann\u2028@example.com", "å\u202e@example.com", "ann@" + "x" * 64 + ".com",
    "a" * 65 + "@example.com", "a" * 10_000 + "@example.com", "ann@" + "example." * 32 + "com",
    "ann@example.com, evil@evil.example", "<ann@example.com>,<evil@evil.example>",
    "ann@example.com> SIZE=1", "ann@example.com\nBcc: evil@evil.example",
    "ann@example.com\r\nRCPT TO:<evil@evil.example>",
    "ann@example.com>\r\nRCPT TO:<evil@evil.example",
    "ann@example.com\r\n.\r\n@", "ann@example.com\0", "ån\r\nBcc: evil@evil.example",
    "=?utf-8?q?ann?=@example.com\n@",
]  # fmt: skip
OWN: Final = {
    "From", "To", "Subject", "Date", "Message-ID", "Content-Language", "Auto-Submitted",
    "MIME-Version", "Content-Type", "X-Reconsent-Notice",
}  # fmt: skip
OF_LISTS: Final = {"List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"}


@dataclass(frozen=True, kw_only=True)
class Way:
    """A provider, and what a test sees and does behind its back.

    What it delivers itself is compared; what a service writes itself, such as a date, is left out.
    """

    provider: Provider
    notices: Callable[[], Sequence[str]]
    """The notices that it has delivered, in order."""
    message: Callable[[str], EmailMessage]
    """The last message of a notice."""
    down: Callable[[], AbstractContextManager[None]]
    """While it lasts, nothing can be delivered."""
    refuse: Callable[[str], None] | None = None
    """Have an address refused from now on."""
    lose_answer: Callable[[], None] | None = None
    """Have the next message taken, and the answer lost."""

    def mail(self, mail: Mail, recipient: Recipient) -> EmailMessage:
        """Send one mail; return its message."""
        [result] = self.provider.send(mail, [recipient])
        assert result.outcome == "accepted", result.reason
        return self.message(recipient.notice)

    def delivered(self, recipients: Sequence[Recipient]) -> list[str]:
        """Return the notices of these recipients that it has delivered, in order."""
        wanted = {recipient.notice for recipient in recipients}
        return [notice for notice in self.notices() if notice in wanted]


def body(message: EmailMessage, subtype: str) -> str:
    """Return the text of a part, with line ends as they are written here."""
    part = message.get_body((subtype,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def _outcomes(results: Sequence[Result]) -> list[str]:
    return [result.outcome for result in results]


class MailContract:
    """Promises of every provider, however near."""

    def test_a_message_says_what_the_mail_says(self, way: Way) -> None:
        """It has the headers that are promised, and both parts have the person's own link."""
        recipient = person(name="Åse Ødegård")
        message = way.mail(MAIL, recipient)
        assert message["X-Reconsent-Notice"] == recipient.notice
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Content-Language"] == MAIL.locale
        assert message["Subject"] == MAIL.subject
        for header, name, address in (
            ("From", "Personvern på Eksempel", "privacy@example.no"),
            ("To", recipient.name, recipient.email),
        ):
            [one] = message[header].addresses
            assert (one.display_name, one.addr_spec) == (name, address)
        for subtype, text in (("plain", MAIL.text), ("html", MAIL.html)):
            assert body(message, subtype).rstrip("\n") == text.replace(MARK, recipient.link).rstrip(
                "\n"
            )

    def test_everyone_gets_their_own(self, way: Way) -> None:
        """Up to `at_most` recipients get one message each, and nothing of another's."""
        everyone = people(way.provider.at_most)
        assert set(_outcomes(way.provider.send(MAIL, everyone))) == {"accepted"}
        delivered = way.delivered(everyone)
        assert sorted(delivered) == sorted(recipient.notice for recipient in everyone)
        for recipient in (everyone[0], everyone[len(everyone) // 2], everyone[-1]):
            message = way.message(recipient.notice)
            assert [one.addr_spec for one in message["To"].addresses] == [recipient.email]
            assert message["To"].addresses[0].display_name == recipient.name
            for subtype in ("plain", "html"):
                assert recipient.link in body(message, subtype)
                assert MARK not in body(message, subtype)

    def test_results_are_in_the_order_of_the_recipients(self, way: Way) -> None:
        """Whoever is rejected, each result is at the place of its recipient."""
        everyone = [
            replace(one, email="no address") if place in {0, 3, 4} else one
            for place, one in enumerate(people(7))
        ]
        expected = ["accepted" if "@" in one.email else "rejected" for one in everyone]
        assert _outcomes(way.provider.send(MAIL, everyone)) == expected
        assert set(way.delivered(everyone)) == {one.notice for one in everyone if "@" in one.email}

    def test_people_may_share_an_address(self, way: Way) -> None:
        """Each account gets its own mail, whatever the case of the address."""
        shared = [person("ann@example.com"), person("Ann@Example.com"), person("ann@example.com")]
        assert _outcomes(way.provider.send(MAIL, shared)) == ["accepted"] * 3
        assert set(way.delivered(shared)) == {one.notice for one in shared}

    def test_a_mail_without_a_link_is_sent_as_it_is(self, way: Way) -> None:
        """Nothing is put in."""
        mail = replace(MAIL, text="t", html="<p>h</p>")
        message = way.mail(mail, replace(person(), link=""))
        assert (body(message, "plain").strip(), body(message, "html").strip()) == ("t", "<p>h</p>")

    @pytest.mark.parametrize("email", UNUSABLE, ids=lambda text: ascii(text)[:24])
    def test_an_unusable_address_is_rejected_alone(self, way: Way, email: str) -> None:
        """The reason does not repeat the address, and the next recipient gets their mail."""
        odd, ann = person(email), person("ann@example.com")
        first, last = way.provider.send(MAIL, [odd, ann])
        assert (first.outcome, last.outcome) == ("rejected", "accepted")
        assert first.reason
        assert not email or email not in first.reason
        assert "evil" not in first.reason
        assert way.delivered([odd, ann]) == [ann.notice]
        addresses = way.message(ann.notice)["To"].addresses
        assert [one.addr_spec for one in addresses] == ["ann@example.com"]

    def test_a_non_ascii_domain_is_encoded(self, way: Way) -> None:
        """A domain goes out as name servers know it: ß is not ss."""
        [one] = way.mail(MAIL, person("ann@straße.example"))["To"].addresses
        assert one.addr_spec == "ann@xn--strae-oqa.example"

    @pytest.mark.parametrize("nasty", NASTY, ids=lambda text: ascii(text)[:24])
    @pytest.mark.parametrize("mail", [OPTIONAL, MAIL], ids=["optional", "owed"])
    def test_no_word_adds_a_header(self, way: Way, nasty: str, mail: Mail) -> None:
        """Whatever subject, name and property hold: our headers, once each, and one recipient."""
        mail = replace(
            mail, subject=f"Nytt {nasty}", list_name=nasty if mail.list_name is not None else None
        )
        message = way.mail(mail, replace(person("ann@example.com", nasty), link=LINK))
        assert set(message.keys()) <= OWN | (OF_LISTS if mail.list_name is not None else set())
        assert len(message.keys()) == len(set(message.keys()))
        assert [one.addr_spec for one in message["To"].addresses] == ["ann@example.com"]
        assert str(message["Subject"]).startswith("Nytt")
        assert str(message["Subject"]).isprintable()
        assert "evil" not in body(message, "plain")

    # ------------------------------------------------------------------ optional mail

    def test_optional_mail_can_be_left_at_once(self, way: Way) -> None:
        """RFC 8058's headers with the person's own link, which both parts show; its own sender."""
        message = way.mail(OPTIONAL, replace(person(), link=LINK))
        assert message["List-Unsubscribe"] == f"<{LINK}>"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert message["List-Id"] == "<information.campaigner.example>"
        assert message["From"].addresses[0].addr_spec == "news@example.no"
        assert message["Auto-Submitted"] == "auto-generated"
        for subtype in ("plain", "html"):
            assert LINK in body(message, subtype)
            assert UNSUBSCRIBE not in body(message, subtype)

    def test_nobody_can_unsubscribe_another(self, way: Way) -> None:
        """In one request, each header has the link of its own recipient."""
        both = [replace(one, link=f"{LINK}{place}") for place, one in enumerate(people(2))]
        assert _outcomes(way.provider.send(OPTIONAL, both)) == ["accepted"] * 2
        for one in both:
            message = way.message(one.notice)
            assert message["List-Unsubscribe"] == f"<{one.link}>"
            assert f"{one.link}\n" in body(message, "plain")

    def test_mail_that_is_owed_cannot_be_left(self, way: Way) -> None:
        """A choice notice has none of the headers of lists."""
        message = way.mail(MAIL, person())
        assert not [name for name in message if name.startswith("List-")]

    def test_a_list_not_named_after_a_domain_has_no_id(self, way: Way) -> None:
        """The mail of others must not be taken for it; non-ASCII characters are encoded."""
        message = way.mail(replace(OPTIONAL, list_name="my app!"), replace(person(), link=LINK))
        assert message["List-Id"] is None
        assert message["List-Unsubscribe"]
        message = way.mail(replace(OPTIONAL, list_name="Blåbær.no"), replace(person(), link=LINK))
        assert message["List-Id"] == "<information.xn--blbr-roah.no>"

    # ------------------------------------------------------------------ trouble

    def test_what_was_surely_not_accepted_may_be_sent_again(self, way: Way) -> None:
        """Where nothing can be delivered, nobody is rejected; later each gets one message."""
        everyone = people(3)
        found = ["retry"] * 3
        with way.down(), suppress(OutsideError):
            found = _outcomes(way.provider.send(MAIL, everyone))
        assert found == ["retry"] * 3
        assert not way.delivered(everyone)
        assert _outcomes(way.provider.send(MAIL, everyone)) == ["accepted"] * 3
        assert sorted(way.delivered(everyone)) == sorted(one.notice for one in everyone)

    def test_repeating_is_as_safe_as_it_says(self, way: Way) -> None:
        """With `repeats_safely` a notice that is handed over again has one message still."""
        again = person()
        for _ in range(2):
            assert _outcomes(way.provider.send(MAIL, [again])) == ["accepted"]
        assert len(way.delivered([again])) == (1 if way.provider.repeats_safely else 2)


class FarContract(MailContract):
    """Promises of a provider that hands mails to a service elsewhere."""

    def test_who_is_refused_is_rejected_alone(self, way: Way) -> None:
        """The reason is the service's, in one line without the address."""
        assert way.refuse
        everyone = [person("bo@example.com"), person("refused@bad.example"), person()]
        way.refuse("refused@bad.example")
        results = way.provider.send(MAIL, everyone)
        assert _outcomes(results) == ["accepted", "rejected", "accepted"]
        reason = str(results[1].reason)
        assert reason
        assert "refused@bad.example" not in reason
        assert reason.isprintable()
        assert way.delivered(everyone) == [everyone[0].notice, everyone[2].notice]

    def test_what_may_have_been_accepted_is_unknown(self, way: Way) -> None:
        """A lost answer is neither accepted nor tried again; afterwards the provider works on."""
        assert way.lose_answer
        way.lose_answer()
        doubtful = person()
        [result] = way.provider.send(MAIL, [doubtful])
        assert result.outcome == "unknown"
        assert result.reason
        assert way.delivered([doubtful]) == [doubtful.notice]
        assert _outcomes(way.provider.send(MAIL, [person()])) == ["accepted"]
