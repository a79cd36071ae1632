"""Requests keep SendGrid's limits, and contain only what the settings say."""

from __future__ import annotations

import json
import time
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.domain.mail import Recipient
from reconsent.mail.sendgrid.provider import SendGrid
from reconsent.mail.sendgrid.settings import Handling, sendgrid_settings
from tests.mails import MAIL, clock, people, person
from tests.stand_ins.sendgrid import SendGridStandIn, running_sendgrid

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def running() -> Iterator[SendGridStandIn]:
    """Yield a strict stand-in of SendGrid that shows the last requests."""
    with running_sendgrid(keep=2) as running:
        yield running


@pytest.fixture
def stand_in(running: SendGridStandIn) -> SendGridStandIn:
    """Return the stand-in, which has forgotten the previous test."""
    running.forget()
    return running


@pytest.fixture
def sendgrid(stand_in: SendGridStandIn) -> SendGrid:
    """The provider, at noon."""
    return SendGrid(stand_in.api_key, stand_in.host, lambda: NOON, timeout=5)


# ---------------------------------------------------------------------- volume


def test_twenty_thousand_people_make_twenty_requests(
    sendgrid: SendGrid, stand_in: SendGridStandIn
) -> None:
    """A thousand people per request; the cost per person does not grow."""
    sendgrid.send(MAIL, people(1000))
    tracemalloc.start()
    try:
        peaks = []
        for requests in (2, 17):
            tracemalloc.reset_peak()
            for _ in range(requests):
                results = sendgrid.send(MAIL, people(1000))
                assert {result.outcome for result in results} == {"accepted"}
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert stand_in.counts() == {"requests": 20, "recipients": 20_000, "received": 20}
    assert peaks[1] < 1.2 * peaks[0] < 30_000_000


def test_no_request_has_30_megabytes(sendgrid: SendGrid, stand_in: SendGridStandIn) -> None:
    """A mail that would be too large is split before it is sent."""
    large = replace(MAIL, text="æ" * 4_650_000, html="h")
    everyone = people(1000)
    assert {result.outcome for result in sendgrid.send(large, everyone)} == {"accepted"}
    counts = stand_in.counts()
    assert counts["requests"] == counts["received"] > 1
    assert counts["recipients"] == 1000
    larger = replace(MAIL, text="t" * 30_000_000, html="h")
    with pytest.raises(OutsideError, match="too large for SendGrid"):
        sendgrid.send(larger, everyone)
    assert stand_in.counts() == counts


def test_a_link_that_is_too_long_is_reported(sendgrid: SendGrid, stand_in: SendGridStandIn) -> None:
    """The message names the setting; nobody is rejected."""
    url = "https://example.com/" + "x" * 10_000
    far = Recipient(notice="n", email="ann@example.com", name=None, link=url)
    with pytest.raises(OutsideError, match="PUBLIC_URL"):
        sendgrid.send(MAIL, [far])
    assert stand_in.counts()["received"] == 0


def test_the_longest_of_everything_fits(sendgrid: SendGrid, stand_in: SendGridStandIn) -> None:
    """Names and addresses of the largest length, in any script, stay within the estimate."""
    long_one = person("a" * 64 + "@" + ".".join(["b" * 61] * 3) + ".no", "\U0001f600" * 300)
    assert sendgrid.send(MAIL, [long_one])[0].outcome == "accepted"
    [sent] = stand_in.personalizations()
    assert len(json.dumps(sent)) < 2500


# ---------------------------------------------------------------------- unclear refusals


def test_an_unclear_refusal_of_one_costs_nobody_else(
    sendgrid: SendGrid, stand_in: SendGridStandIn
) -> None:
    """A 400 without a field halves the request; a recipient refused alone is rejected."""
    stand_in.next(status=400, times=3)
    everyone = people(4)
    results = sendgrid.send(MAIL, everyone)
    assert [r.outcome for r in results] == ["rejected", "accepted", "accepted", "accepted"]
    assert stand_in.counts() == {"requests": 2, "recipients": 3, "received": 5}


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_a_refusal_of_everyone_rejects_nobody(
    sendgrid: SendGrid, stand_in: SendGridStandIn, count: int
) -> None:
    """It is reported after few requests, and no address is rejected."""
    stand_in.next(status=400, times=2 * count)
    with pytest.raises(OutsideError, match="SendGrid responded 400: Bad Request"):
        sendgrid.send(MAIL, people(count))
    assert stand_in.counts()["received"] < 16


# ---------------------------------------------------------------------- rate limits


def test_a_rate_limit_is_kept(sendgrid: SendGrid, stand_in: SendGridStandIn) -> None:
    """After 429 no request is sent; the reason says until when."""
    until = NOON + timedelta(seconds=40)
    stand_in.next(status=429, headers={"X-RateLimit-Reset": str(int(until.timestamp()))})
    results = sendgrid.send(MAIL, [person("a@example.com"), person("A@example.com")])
    assert [(r.outcome, r.not_before) for r in results] == [("retry", until)] * 2
    assert sendgrid.rests_until == until
    assert str(results[0].reason).endswith("; again from 2026-12-01T12:00:40Z")
    assert stand_in.counts() == {"requests": 0, "recipients": 0, "received": 1}
    assert sendgrid.send(MAIL, people(1))[0].outcome == "accepted"
    assert sendgrid.rests_until is None


@pytest.mark.parametrize(
    ("reset", "until"),
    [("soon", None), ("", None), ("9" * 40, None), ("1796126400000", None),
     ("9999999999", NOON + timedelta(hours=1))],
)  # fmt: skip
def test_an_implausible_end_of_a_rate_limit_is_capped(
    sendgrid: SendGrid, stand_in: SendGridStandIn, reset: str, until: datetime | None
) -> None:
    """An invalid or distant X-RateLimit-Reset does not stop sending for long."""
    stand_in.next(status=429, headers={"X-RateLimit-Reset": reset})
    [result] = sendgrid.send(MAIL, people(1))
    assert (result.outcome, result.not_before, sendgrid.rests_until) == ("retry", until, until)


def test_a_real_limit_loses_nothing(stand_in: SendGridStandIn) -> None:
    """Recipients over the limit are deferred until the time that SendGrid gives."""
    sendgrid = SendGrid(stand_in.api_key, stand_in.host, clock)
    stand_in.limit(requests=2, seconds=1)
    taken = 0
    while taken < 5:
        results = sendgrid.send(MAIL, people(10))
        taken += {r.outcome for r in results} == {"accepted"}
        if until := sendgrid.rests_until:
            assert {(r.outcome, r.not_before) for r in results} == {("retry", until)}
            time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))
    counts = stand_in.counts()
    assert (counts["requests"], counts["recipients"]) == (5, 50)
    assert counts["received"] <= 9


# ---------------------------------------------------------------------- handling


def test_nobody_is_tracked(sendgrid: SendGrid, stand_in: SendGridStandIn) -> None:
    """No link is rewritten, no pixel or footer is added, and no list is used."""
    sendgrid.send(MAIL, people(1))
    [request] = stand_in.accepted()
    assert request["tracking_settings"] == {
        "click_tracking": {"enable": False, "enable_text": False},
        "open_tracking": {"enable": False},
        "subscription_tracking": {"enable": False},
    }
    assert not {"categories", "asm", "custom_args", "mail_settings"} & set(request)


def test_tracking_categories_and_group_are_what_is_set(stand_in: SendGridStandIn) -> None:
    """Every request has exactly the options that are set."""
    set_so = {
        "SENDGRID_TRACKING": "clicks, opens",
        "SENDGRID_CATEGORIES": " notices ,2026-12,notices, ",
        "SENDGRID_ASM_GROUP": "17302",
    }
    handling = sendgrid_settings(set_so).handling
    sendgrid = SendGrid(stand_in.api_key, stand_in.host, clock, handling=handling)
    sendgrid.send(MAIL, people(1))
    sendgrid.send(replace(MAIL, list_name="shop.example"), people(1))
    [owed, request] = stand_in.accepted()
    assert "asm" not in owed
    assert request["categories"] == owed["categories"] == ["notices", "2026-12"]
    assert request["asm"] == {"group_id": 17302}
    assert request["tracking_settings"] == {
        "click_tracking": {"enable": True, "enable_text": True},
        "open_tracking": {"enable": True},
        "subscription_tracking": {"enable": False},
    }
    assert sendgrid_settings({}).handling == Handling()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENDGRID_TRACKING", "yes"),
        ("SENDGRID_TRACKING", "clicks opens"),
        ("SENDGRID_CATEGORIES", ",".join(map(str, range(11)))),
        ("SENDGRID_CATEGORIES", "x" * 256),
        ("SENDGRID_CATEGORIES", "blåbær"),
        ("SENDGRID_CATEGORIES", "a\nb"),
        ("SENDGRID_ASM_GROUP", "legal"),
        ("SENDGRID_ASM_GROUP", "0"),
        ("SENDGRID_ASM_GROUP", "-1"),
        ("SENDGRID_ASM_GROUP", "²"),
        ("SENDGRID_ASM_GROUP", "9" * 5000),
    ],
)
def test_an_invalid_setting_is_reported(name: str, value: str) -> None:
    """One line names the setting, before anything is sent."""
    with pytest.raises(BadInputError, match=f"^{name}: ") as caught:
        sendgrid_settings({name: value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_no_key_is_shown() -> None:
    """The repr of the settings does not contain the key."""
    assert "SG.secret" not in repr(sendgrid_settings({"SENDGRID_API_KEY": "SG.secret"}))
