"""Choosing people's language, and the phrases for keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.locales import best_locale, best_of
from reconsent.domain.use import Use
from reconsent.words.phrases import Words, phrase_of, touches
from reconsent.words.translation import own_language, phrases
from tests.asked import FIRST, asked, question, second
from tests.drafts import draft

_TEXT = {"title": "T", "summary": "S", "body": "B"}


@pytest.mark.parametrize(
    ("wanted", "served"),
    [
        ("nb", "nb"),
        ("nb-NO", "nb"),
        ("nb_NO", "nb"),
        ("NB-no", "nb"),
        ("no", "nb"),
        ("no-NO", "nb"),
        ("en-GB", "en"),
        ("de", "de"),
        ("sv", "de"),
        ("nn", "nb"),
        ("", "de"),
        (None, "de"),
        ("not a locale;;q", "de"),
        ("sv, nb;q=0.8, en;q=0.9", "en"),
        ("nb;q=0.2,en;q=0", "nb"),
        ("*", "de"),
    ],
)
def test_a_locale_is_served_by_itself_its_language_or_the_first(
    wanted: str | None, served: str
) -> None:
    """nb-NO matches nb; a reader of none of the languages gets the policy's first."""
    version = draft(texts={"de": _TEXT, "en": _TEXT, "nb": _TEXT})
    assert best_locale(wanted, version) == served


def test_a_sister_locale_serves_where_the_language_itself_is_missing() -> None:
    """Nb is served by nb-NO, and a Norwegian policy serves no."""
    version = draft(texts={"en": _TEXT, "nb-NO": _TEXT})
    assert best_locale("nb", version) == "nb-NO"
    assert best_locale("no", version) == "nb-NO"


@given(st.text())
def test_any_header_is_served(header: str) -> None:
    """Any header or locale is served by some text and some sentences."""
    assert best_locale(header, second()) in second().texts
    assert own_language(header) in {"en", "nb"}
    assert best_of(header, ()) is None


def test_the_policys_own_words_come_first() -> None:
    """A phrase in the policy file precedes the program's."""
    version = second(words={"en": {"user.payment": "your card"}})
    assert Words(version=version, locale="en").phrase("user.payment") == "your card"
    assert (
        Words(version=version, locale="nb").phrase("user.payment") == "betalingsopplysningene dine"
    )


def test_a_key_without_a_phrase_reads_as_its_nearest_parent() -> None:
    """The nearest parent's phrase is used, or else the key itself."""
    version = second(words={"en": {"user.shoe": "your shoes"}})
    words = Words(version=version, locale="en")
    assert words.phrase("user.shoe.size") == "your shoes"
    assert words.phrase("user.contact.email.work") == "your email address"
    assert words.phrase("shoe.size") == "shoe.size"


def test_a_sentence_is_in_one_language() -> None:
    """A policy in a language that the program does not speak is asked about in English.

    Only what English could not name as exactly keeps the policy's own phrase.
    """
    version = second(
        texts={"de": _TEXT},
        words={"de": {"user.contact.email": "deine E-Mail-Adresse", "user.shoe": "deine Schuhe"}},
    )
    words = Words(version=version, locale="de")
    assert words.language == "en"
    assert words.phrase("user.contact.email") == "your email address"
    assert words.phrase("user.shoe") == "deine Schuhe"
    assert words.date(FIRST.effective_at) == "1 May 2013"


@pytest.mark.parametrize(
    ("locale", "recipient", "sentence"),
    [
        ("en", "example", "May we use your email address to send you offers by email?"),
        ("nb", "example", "Får vi bruke e-postadressen din til å sende deg tilbud på e-post?"),
        ("en", "adpartner", "May we let Northlight Ads (Germany) use your email address to"),
        ("nb", "adpartner", "Får Northlight Ads (Tyskland) bruke e-postadressen din til å sende"),
        (
            "en",
            "stranger",
            "May we let stranger use your email address to send you offers by email?",
        ),
    ],
)
def test_a_question_reads_as_one_would_ask_it(locale: str, recipient: str, sentence: str) -> None:
    """The controller says we; others are named with their country, or by their key."""
    one = question("marketing.communications.email", recipient, ("user.contact.email", "v1"))
    assert Words(version=second(), locale=locale).question(one).startswith(sentence)


def test_a_question_names_each_kind_of_data_once() -> None:
    """Data of one kind under several versions is named once in the question."""
    one = question(
        "analytics", "example", ("user.payment", "v1"), ("user.payment", None), ("user.name", "v1")
    )
    words = Words(version=second(), locale="nb")
    assert words.question(one).startswith("Får vi bruke betalingsopplysningene dine og navnet ditt")
    rows = words.held(one.concerns, {"v1": FIRST})
    assert [(held.data, [under.text for under in held.collected_under]) for held in rows] == [
        ("Betalingsopplysningene dine", ["versjon v1, fra 1. mai 2013", "en ukjent versjon"]),
        ("Navnet ditt", ["versjon v1, fra 1. mai 2013"]),
    ]


def test_every_key_of_one_language_has_a_phrase_in_the_other() -> None:
    """English and Norwegian know the same keys, and no phrase is empty."""
    english, norwegian = phrases("en"), phrases("nb")
    assert english.keys() == norwegian.keys()
    assert all(
        phrase.strip() == phrase != "" for phrase in (*english.values(), *norwegian.values())
    )


def test_the_program_knows_which_keys_it_has_phrases_for() -> None:
    """`policy check` warns of the keys that people would read without a phrase."""
    assert phrase_of("user.contact.email", "nb-NO") == ("user.contact.email", "e-postadressen din")
    broader = phrase_of("marketing.communications.pigeon", "en")
    assert broader
    assert broader[0] == "marketing.communications"
    assert phrase_of("shoe.size", "en") is None


def test_a_question_takes_in_an_earlier_no_only_where_they_meet() -> None:
    """A no to a part, or to anything broader, is mentioned; a no to something else is not."""
    one = question("marketing", "example", ("user.contact", "v1"))
    email = Use("user.contact.email", "v1", "marketing.communications.email", "example")
    assert touches(one, [email])
    assert touches(one, [email._replace(collected_under="*", recipient="*")])
    assert not touches(one, [email._replace(recipient="adpartner")])
    assert not touches(one, [email._replace(collected_under="v0")])


def test_a_company_that_takes_over_is_named_with_the_one_before() -> None:
    """The new controller says whose data it was."""
    version = second(controller="adpartner")
    now = asked(version)
    words = Words(version=version, locale="en")
    assert words.taken_over_from(now.questions, now.published) == "Example Inc."
    same = asked()
    words = Words(version=same.version, locale="en")
    assert words.taken_over_from(same.questions, same.published) is None


@pytest.mark.parametrize(
    ("duration", "english", "norwegian"),
    [
        ("P30D", "30 days", "30 dager"),
        ("P1D", "1 day", "1 dag"),
        ("P2W", "14 days", "14 dager"),
        ("P7Y", "7 years", "7 år"),
        ("P1Y6M", "1 year and 6 months", "1 år og 6 måneder"),
        ("PT12H", "12 hours", "12 timer"),
        ("PT30S", "PT30S", "PT30S"),
    ],
)
def test_periods_are_written_in_words(duration: str, english: str, norwegian: str) -> None:
    """A period is shown in the units that it was written in."""
    assert Words(version=second(), locale="en").period(duration) == english
    assert Words(version=second(), locale="nb").period(duration) == norwegian


def test_times_are_shown_in_the_readers_zone() -> None:
    """A person's own time names its offset; without a valid zone it is the policy's."""
    at = datetime(2026, 11, 3, 23, 5, tzinfo=timezone(timedelta(hours=-3)))
    words = Words(version=second(effective_at="2027-01-01T00:00:00+05:30"), locale="en")
    assert words.moment(at, "Europe/Oslo") == "4 November 2026, 03:05 UTC+01:00"
    assert words.day(at, "America/New_York") == "3 November 2026"
    for unknown in (None, "", "Nowhere/At_All", "../../etc/passwd"):
        assert words.moment(at, unknown) == "4 November 2026, 07:35 UTC+05:30"
        assert words.day(at, unknown) == "4 November 2026"
    american = Words(version=second(), locale="en-US")
    assert american.moment(at.astimezone(UTC), "UTC") == "November 4, 2026, 02:05 UTC+00:00"
