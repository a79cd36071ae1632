"""Days that people read: the policy's as they were written, a person's own in their zone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

import pytest
from babel.dates import format_date
from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.policy import PolicyVersion
from reconsent.words import choosing, mailbox
from reconsent.words.mails import render_mail
from reconsent.words.phrases import Words
from reconsent.words.policies import policy_history, policy_version
from reconsent.words.views import (
    Asked,
    ChooseView,
    MailView,
    PolicyHistoryView,
    PolicyVersionView,
    ReceiptView,
)
from tests.asked import ASKED_AT, FIRST, SITE, asked, said, second

NEW_YEAR: Final = "2027-01-01T00:00:00+01:00"
"""31 December in UTC."""


def _shown(now: Asked) -> dict[str, str]:
    """Return everything that says from when a version applies."""
    mails = {
        kind: render_mail(
            kind,
            version=now.version,
            property_name=now.property_name,
            locale=now.locale,
            questions=now.questions,
            refused_before=frozenset(),
            published=now.published,
            public_url=SITE.public_url,
            sender=SITE.contact,
        )
        for kind in ("choice", "information")
    }
    history = PolicyHistoryView(versions=(FIRST, now.version), in_force="v1", locale=now.locale)
    version = PolicyVersionView(version=now.version, followed=FIRST, locale=now.locale)
    receipt = ReceiptView(
        version=now.version,
        property_name=now.property_name,
        locale=now.locale,
        answers=said(now, "allow"),
    )
    return {
        **{f"{kind} mail": mail.text for kind, mail in mails.items()},
        **{f"{kind} mail in HTML": mail.html for kind, mail in mails.items()},
        "choose": choosing.choose(ChooseView(asked=now, page_mark="hash"), SITE),
        "receipt": choosing.receipt(receipt, SITE),
        "history": policy_history(history, SITE),
        "version": policy_version(version, SITE),
    }


@pytest.mark.parametrize(("locale", "day"), [("en", "1 January 2027"), ("nb", "1. januar 2027")])
def test_the_day_a_version_applies_is_shown_as_it_was_written(locale: str, day: str) -> None:
    """In mails and on pages, from the file and after a journey through the event alike."""
    written = second(effective_at=NEW_YEAR)
    for version in (written, PolicyVersion.model_validate_json(written.model_dump_json())):
        for where, text in _shown(asked(version, locale=locale)).items():
            assert day in text, where
            assert "2026" not in text.replace("3 November 2026", "").replace(
                "3. november 2026", ""
            ), where


@given(st.dates(min_value=date(1990, 1, 1), max_value=date(2100, 1, 1)), st.integers(-14, 14))
def test_any_day_is_shown_as_it_was_written(day: date, hours: int) -> None:
    """Whatever the offset, and however near to midnight."""
    zone = timezone(timedelta(hours=hours))
    for hour in (0, 23):
        at = datetime(day.year, day.month, day.day, hour, 59, tzinfo=zone)
        page = choosing.choose(
            ChooseView(
                asked=asked(second(effective_at=at.isoformat())),
                page_mark="hash",
            ),
            SITE,
        )
        assert f"It applies from {format_date(day, 'long', locale='en_001')}." in page


@pytest.mark.parametrize(
    ("time_zone", "mailed", "moment"),
    [
        ("Europe/Oslo", "1 December 2026", "1 December 2026, 00:30 UTC+01:00"),
        ("America/New_York", "30 November 2026", "30 November 2026, 18:30 UTC-05:00"),
        (None, "1 December 2026", "1 December 2026, 00:30 UTC+01:00"),
        ("Middle/Earth", "1 December 2026", "1 December 2026, 00:30 UTC+01:00"),
    ],
)
def test_a_persons_own_times_are_in_their_zone(
    time_zone: str | None, mailed: str, moment: str
) -> None:
    """When we mailed and when they answered: in their zone, else in the policy's offset."""
    at = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    now = asked(second(effective_at=NEW_YEAR))
    [answered] = [replace(one, said_at=at) for one in said(now, "deny")]
    page = choosing.choose(
        ChooseView(
            asked=now,
            page_mark="hash",
            mailed_at=at,
            said=(answered,),
            time_zone=time_zone,
        ),
        SITE,
    )
    assert f"our mail of {mailed} about" in page
    assert f"You said on {mailed}:" in page
    receipt = ReceiptView(
        version=now.version,
        property_name=now.property_name,
        locale="en",
        answers=(answered,),
        time_zone=time_zone,
    )
    assert moment in choosing.receipt(receipt, SITE)


@pytest.mark.parametrize(
    ("written", "locale", "country", "moment"),
    [
        ("2027-01-01T00:00:00Z", "nb", "CA", "3. november 2026, 14:05 UTC+01:00"),
        ("2027-01-01T00:00:00Z", "de-AT", "CA", "3 November 2026, 14:05 UTC+01:00"),
        ("2027-01-01T00:00:00Z", "en", "GB", "3 November 2026, 13:05 UTC+00:00"),
        ("2027-01-01T00:00:00Z", "en-IN", "GB", "3 November 2026, 18:35 UTC+05:30"),
        ("2027-01-01T00:00:00Z", "en", "CA", "3 November 2026, 13:05 universal time (UTC)"),
        ("2027-01-01T00:00:00Z", "en", None, "3 November 2026, 13:05 universal time (UTC)"),
        ("2027-01-01T00:00:00-03:00", "nb", "GB", "3. november 2026, 10:05 UTC-03:00"),
    ],
)
def test_who_has_no_time_zone_reads_times_as_the_policys_readers_do(
    written: str, locale: str, country: str | None, moment: str
) -> None:
    """In its offset, else in its first locale's country, else in its controller's."""
    text = {"title": "Policy", "summary": "Summary.", "body": "Body."}
    version = second(
        effective_at=written,
        texts={locale: text, "en-US": text},
        parties={"example": {"name": "Example", "country": country}, "adpartner": {"name": "Ads"}},
    )
    assert Words(version=version, locale=locale).moment(ASKED_AT, None) == moment
    assert Words(version=version, locale=locale).moment(ASKED_AT, "Nowhere/At_All") == moment


def test_the_mailbox_shows_times_in_the_zone_that_they_come_in() -> None:
    """The pages of the local mailbox name the offset of the time that they are given."""
    at = datetime(2026, 12, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    view = MailView(
        subject="S", sender="a@b", recipient="c@d", sent_at=at, text="", html_url="", mailbox_url=""
    )
    assert "1 December 2026, 00:30 UTC+01:00" in mailbox.mail(view, SITE)


def test_a_controller_that_the_policy_does_not_name_has_no_country() -> None:
    """Its key is shown, and times are in UTC."""
    version = second(effective_at="2027-01-01T00:00:00Z", parties={})
    words = Words(version=version, locale="en")
    assert words.moment(ASKED_AT, None) == "3 November 2026, 13:05 universal time (UTC)"
