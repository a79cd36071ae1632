"""Whenever a sender is killed, suspended or cut off: no mail is lost, and no double is hidden.

`make chaos ROUNDS=50` plays four times as many of these rounds, for they are quick.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from reconsent.domain.mail import Delivery
from tests.chaos.sending import MISHAPS, Place, SendingRound

ROUNDS_EACH: Final = 4
_STEP: Final = 19
_TOLD: Final = frozenset({"accepted", "delivered", "complained"})
_REPORTED: Final = {"delivered": "delivered", "deferred": "accepted", "spamreport": "complained"}


def test_sending(seed: int, sending_place: Place, tmp_path: Path) -> None:
    """Every notice is accepted, rejected, or listed as unknown; a double is shown."""
    began = time.monotonic()
    chance = Random(seed)
    delivery: Delivery = "at_least_once" if seed % 2 else "at_most_once"
    # Seeds that follow one another try everything that can happen, under each setting: in steps,
    # so that few of them already are of all kinds.
    first = MISHAPS[seed // 2 * _STEP % len(MISHAPS)]
    with closing(SendingRound(sending_place, tmp_path / "log", chance, delivery)) as played:
        doubles = unlucky = 0
        try:
            played.play(first)
            notices, accepted = played.notices(), played.accepted()
            emails = played.emails()
            refused = {n for n in emails if emails[n] in played.refused}
            assert_told(notices, accepted, refused, _may_be_marked(emails, played.fates or {}))
            assert_delivered_as(delivery, notices, accepted, played.notices(not_told=True))
            if played.fates is not None:
                assert_reported(notices, accepted, emails, played.fates)
            doubles = sum(times > 1 for times in accepted.values())
            unlucky = sum(notice["state"] == "abandoned" for notice in notices)
        finally:
            seconds = time.monotonic() - began
            sys.stderr.write(
                f"\nseed {seed}: {delivery}, {', '.join(played.happened)}:"
                f" {doubles} twice, {unlucky} abandoned; {seconds:.1f} s\n"
            )


def _may_be_marked(emails: Mapping[str, str], fates: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the notices to mailboxes that may complain of another notice before they are sent."""
    notices_of = Counter(emails.values())
    complain = {email for email, reports in fates.items() if "spamreport" in reports}
    return {n for n, email in emails.items() if notices_of[email] > 1 and email in complain}


def assert_told(
    notices: Sequence[Mapping[str, Any]],
    accepted: Counter[str],
    refused: set[str],
    may_be_marked: set[str],
) -> None:
    """Fail if a notice is lost: neither accepted, nor rejected, nor unknown."""
    assert accepted.keys() <= {notice["notice"] for notice in notices}
    for notice in notices:
        name, state = notice["notice"], notice["state"]
        if name in refused:
            assert state in {"rejected", "abandoned"}, notice
            assert not accepted[name], notice
        elif name not in may_be_marked or notice["suppression"] != "bounced":
            assert state in _TOLD | {"abandoned"}, notice
            assert accepted[name] or state == "abandoned", notice
        assert all(attempt["ended_at"] for attempt in notice["attempts"]), notice


def assert_delivered_as(
    delivery: Delivery,
    notices: Sequence[Mapping[str, Any]],
    accepted: Counter[str],
    not_told: Sequence[Mapping[str, Any]],
) -> None:
    """Fail if the delivery setting's promise is broken."""
    abandoned = {n["notice"] for n in notices if n["state"] == "abandoned"}
    if delivery == "at_most_once":
        assert max(accepted.values(), default=0) <= 1, accepted.most_common(3)
        assert abandoned <= {notice["notice"] for notice in not_told}
        return
    assert not abandoned
    for notice in notices:
        assert len(notice["attempts"]) >= accepted[notice["notice"]], notice


def assert_reported(
    notices: Sequence[Mapping[str, Any]],
    accepted: Counter[str],
    emails: Mapping[str, str],
    fates: Mapping[str, Sequence[str]],
) -> None:
    """Fail if a provider's report was not recorded."""
    for notice in notices:
        if accepted[notice["notice"]]:
            *_, last = fates[emails[notice["notice"]]]
            assert notice["state"] == _REPORTED[last], notice


@pytest.mark.parametrize(
    ("state", "times", "attempts"), [("accepted", 0, 1), ("due", 1, 1), ("accepted", 2, 1)]
)
def test_a_failed_round_is_reported(state: str, times: int, attempts: int) -> None:
    """Rounds fail if a notice is lost, left over, or doubled without being shown."""
    ended = [{"ended_at": "2027-01-01T00:00:00Z"}] * attempts
    notices = [{"notice": "a", "state": state, "attempts": ended}]
    with pytest.raises(AssertionError):
        _assert_all("at_least_once", notices, Counter(a=times))
    with pytest.raises(AssertionError):
        _assert_all("at_most_once", notices, Counter(a=times))


def _assert_all(
    delivery: Delivery, notices: Sequence[Mapping[str, Any]], accepted: Counter[str]
) -> None:
    assert_told(notices, +accepted, set(), set())
    assert_delivered_as(delivery, notices, +accepted, [])
