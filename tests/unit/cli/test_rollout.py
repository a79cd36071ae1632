"""How long a rollout takes, and what is in force before it is done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconsent.cli.rollout import Late, late, rollout, spoken
from reconsent.domain.policy import Policy
from reconsent.facts.read.counts import NoticeCount
from reconsent.facts.versions import Policies
from tests.drafts import draft

_IN_FORCE = datetime(2027, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("mails", "pace", "words"),
    [
        (7_200, 1, "2 h"),
        (1_000_000, 10, "1 d 3 h"),
        (59, 1, "less than a minute"),
        (100, 0.5, "3 min"),
        (3_660, 1, "1 h 1 min"),
    ],
)
def test_the_time_of_a_rollout_follows_from_the_pace(mails: int, pace: float, words: str) -> None:
    """In two units, which is as exact as a pace is."""
    takes = rollout(mails, pace)
    assert takes is not None
    assert spoken(takes) == words


def test_without_mails_or_pace_there_is_nothing_to_say() -> None:
    """A provider takes what it takes."""
    assert rollout(0, 10) is None
    assert rollout(10, None) is None


def test_a_version_in_force_with_mails_that_wait_is_late() -> None:
    """Only the latest version: what an earlier one still had is asked by it."""
    first, second = draft(), draft(version="v2", follows="v1")
    policies = Policies(
        by_name={"campaigner": Policy(name="campaigner", versions=(first, second))},
    )
    counts = [
        NoticeCount("campaigner", version, "choice", state, None, number)
        for version, state, number in (
            ("v1", "due", 9), ("v2", "due", 2), ("v2", "planned", 3), ("v2", "accepted", 5),
        )
    ]  # fmt: skip
    assert late(policies, counts, _IN_FORCE - timedelta(seconds=1)) == []
    assert late(policies, counts, _IN_FORCE) == [Late("campaigner", "v2", _IN_FORCE, 5)]
    assert late(policies, counts[:1], _IN_FORCE) == []
