"""Mails: everything a person needs to answer is in the text and the HTML, and nothing else is."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from reconsent.domain.mail import CHOOSE_LINK, UNSUBSCRIBE_LINK, RenderedMail
from reconsent.domain.notice import Kind
from reconsent.domain.use import Use
from reconsent.words.mails import render_mail
from tests.asked import SITE, asked, second
from tests.drafts import row

_FETCHING: Final = {"img", "link", "script", "iframe", "video", "audio", "object", "embed"}


class _Html(HTMLParser):
    """The text, links and fetched files of a mail's HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.said: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.links += [value or "" for name, value in attrs if tag == "a" and name == "href"]

    @override
    def handle_data(self, data: str) -> None:
        self.said.append(data)

    @property
    def text(self) -> str:
        """All that it says, with single spaces."""
        return " ".join(" ".join(self.said).split())


def _mail(kind: Kind = "choice", **changed: Any) -> RenderedMail:  # noqa: ANN401 (as render_mail has it)
    now = changed.pop("asked", asked())
    values: dict[str, Any] = {
        "version": now.version,
        "property_name": now.property_name,
        "locale": now.locale,
        "questions": now.questions if kind == "choice" else (),
        "refused_before": frozenset(),
        "published": now.published,
        "public_url": SITE.public_url,
        "sender": f"Privacy <{SITE.contact}>",
    }
    return render_mail(kind, **(values | changed))


_ENGLISH: Final = [
    "Example Inc.",
    "Our policy",
    "campaigner.example",
    "15 January 2027",
    "We would like to write to you.",
    "nothing changes for the data we already hold",
    "No answer means no.",
    "May we use your email address to send you offers by email?",
    "May we let Northlight Ads (Germany) use your payment details to measure",
    "Your payment details",
    "version v1, from 1 May 2013",
    "within 30 days of this mail",
    "You have an account at campaigner.example",
    "Example Inc. (Canada)",
    "privacy@example.com",
]
_NORWEGIAN: Final = [
    "Example Inc.",
    "Personvern",
    "15. januar 2027",
    "Vi vil gjerne skrive til deg.",
    "slik som før",
    "Svarer du ikke, er svaret nei.",
    "Får vi bruke e-postadressen din til å sende deg tilbud på e-post?",
    "Får Northlight Ads (Tyskland) bruke betalingsopplysningene dine til å måle",
    "Betalingsopplysningene dine",
    "versjon v1, fra 1. mai 2013",
    "innen 30 dager",
    "Du har en konto på campaigner.example",
    "Example Inc. (Canada)",
    "privacy@example.com",
]


@pytest.mark.parametrize(("locale", "sentences"), [("en", _ENGLISH), ("nb", _NORWEGIAN)])
def test_the_choice_mail_says_all_that_one_needs_to_answer(
    locale: str, sentences: list[str]
) -> None:
    """Who asks, what changes, what about, what if one does nothing, until when, why, and where."""
    mail = _mail(asked=asked(locale=locale))
    html = _Html(mail.html)
    for sentence in sentences:
        assert sentence in " ".join(mail.text.split())
        assert sentence in html.text
    assert ("lang", locale) in html.attributes
    assert mail.locale == locale


def test_both_forms_carry_the_choose_link_and_the_full_text() -> None:
    """The link is there to press and to read, once in the text and written out in the HTML."""
    mail = _mail()
    html = _Html(mail.html)
    assert mail.text.count(CHOOSE_LINK) == 1
    assert html.links.count(CHOOSE_LINK) == 2
    assert CHOOSE_LINK in html.text
    assert f"{SITE.public_url}/policies/campaigner/v2" in mail.text
    assert f"{SITE.public_url}/policies/campaigner/v2" in html.links


def test_only_information_has_an_unsubscribe_link() -> None:
    """The link is in both forms of an information mail; a choice mail has none."""
    mail = _mail("information")
    html = _Html(mail.html)
    assert mail.text.count(UNSUBSCRIBE_LINK) == 1
    assert html.links.count(UNSUBSCRIBE_LINK) == 1
    assert UNSUBSCRIBE_LINK in html.text
    assert CHOOSE_LINK not in mail.text + mail.html
    for owed in (_mail("choice"), _mail("reminder")):
        assert UNSUBSCRIBE_LINK not in owed.text + owed.html
        assert "unsubscribe" not in (owed.text + owed.html).lower()


def test_no_mail_fetches_anything() -> None:
    """No picture, font, script or pixel: opening a mail tells nobody."""
    for mail in (_mail(), _mail("information")):
        html = _Html(mail.html)
        assert not _FETCHING & set(html.tags)
        assert not re.search(r"@import|url\(|\bsrc=|\bbackground=", mail.html)
        hosts = {urlsplit(link).netloc for link in html.links} - {""}
        assert hosts == {urlsplit(SITE.public_url).netloc}


def test_a_mail_asking_much_stays_small() -> None:
    """Twenty questions about many kinds of data still make a mail under 60 KB."""
    uses = [f"analytics.reporting.kind{number}" for number in range(20)]
    version = second(declares=[row("user", *uses)])
    held = [(f"user.contact.kind{number}", "v1") for number in range(5)]
    mail = _mail(asked=asked(version, *held))
    assert len(mail.html.encode()) < 60_000
    assert "20 new ways" in mail.subject


def test_the_subject_of_one_question_asks_it() -> None:
    """One question is asked in the subject already; several are counted there."""
    one = asked(None, ("user.contact.email", "v1"))
    expected = "Your choice: may we use your email address to send you offers by email?"
    assert _mail(asked=one).subject == expected
    assert _mail().subject == "Your choice: may we use your data in 3 new ways?"
    wordy = second(words={"en": {"user.contact.email": "your email address " * 9}})
    mail = _mail(asked=asked(wordy, ("user.contact.email", "v1")))
    assert mail.subject == "Your choice: may we use your data in a new way?"


@given(st.text(min_size=1, max_size=40).filter(str.strip))
def test_no_words_break_out_of_the_subject(phrase: str) -> None:
    """The subject is one printable line for any words of a policy."""
    version = second(
        words={"en": {"user.contact.email": phrase}},
        texts={"en": {"title": phrase, "summary": "S", "body": "B"}},
    )
    now = asked(version, ("user.contact.email", "v1"))
    for mail in (_mail(asked=now), _mail("information", asked=now)):
        assert mail.subject.isprintable()
        assert mail.subject


def test_words_are_text_not_markup() -> None:
    """A policy's words cannot bring markup into the HTML, and plain text shows them as they are."""
    hostile = "<img src=x> & \"'"
    version = second(
        parties={"example": {"name": hostile}},
        texts={"en": {"title": hostile, "summary": hostile, "body": hostile}},
        words={"en": {"user.contact.email": hostile, "user.payment": hostile}},
    )
    mail = _mail(asked=asked(version, property_name="<b>p</b>"))
    html = _Html(mail.html)
    assert "img" not in html.tags
    assert "b" not in html.tags
    assert hostile in html.text
    assert hostile in mail.text


def test_a_question_broader_than_a_standing_no_says_so() -> None:
    """Only the question that a no meets says that there was one."""
    no = Use("user.contact.email", "*", "marketing.communications.email", "*")
    said = "You have said no to part of this before."
    mail = _mail(refused_before=frozenset({no}))
    assert mail.text.count(said) == 1
    assert mail.html.count(said) == 1
    question = mail.text.index("send you offers by email?")
    assert question < mail.text.index(said) < question + 100
    assert said not in _mail().text + _mail().html


def test_a_mail_without_an_end_names_none() -> None:
    """Where no answer is expected by a day, none is mentioned."""
    mail = _mail(asked=asked(second(notice={})))
    assert "You can answer within" not in mail.text + mail.html


def test_another_controller_says_who_it_takes_over_from() -> None:
    """A mail from a new controller says whose data it was."""
    mail = _mail(asked=asked(second(controller="adpartner")))
    sentence = "Northlight Ads takes over the responsibility for your data from Example Inc."
    assert sentence in mail.text
    assert sentence in _Html(mail.html).text


@pytest.mark.parametrize("kind", ["choice", "reminder"])
def test_another_controller_does_not_say_that_nothing_changes(kind: Kind) -> None:
    """Without a yes it may not use what was collected for another one, not even as before."""
    now = asked(second(controller="adpartner"))
    mail = _mail(kind, asked=now, questions=now.questions)
    for form in (mail.text, _Html(mail.html).text):
        assert (
            "If you do nothing, Northlight Ads may not use the data we already hold for what we ask"
            " here. No answer means no." in form
        )
        assert "nothing changes" not in form


def test_information_of_another_controller_says_so() -> None:
    """Who has nothing to decide reads who is responsible now, and not that all stays as it was."""
    mail = _mail("information", asked=asked(second(controller="adpartner")))
    for form in (mail.text, _Html(mail.html).text):
        assert "takes over the responsibility for your data from Example Inc." in form
        assert "You need to do nothing." in form
        assert "Nothing changes" not in form
    assert "takes over" not in _mail("information").text


def test_an_information_mail_asks_nothing() -> None:
    """It tells what changes, and that nothing has to be done; there is nothing to choose."""
    mail = _mail("information")
    for form in (mail.text, _Html(mail.html).text):
        assert "We would like to write to you." in form
        assert "You need to do nothing." in form
        assert "?" not in form.replace("Questions? Write to", "")
    assert CHOOSE_LINK not in mail.text + mail.html
    assert mail.subject == "New version: Our policy"


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    """Data of an unknown version is described as such, without a link."""
    mail = _mail(asked=asked(None, ("user.contact.email", None)))
    assert "collected under an unknown version" in mail.text
    assert not [link for link in _Html(mail.html).links if link.endswith("/None")]
