"""The real system agrees with the naive model of RULES.md in random worlds.

`pytest tests/integration/test_pipeline_model.py --hypothesis-profile=thorough` tries many more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.pipeline import Both
from tests.integration.stage import Stage, stage
from tests.model.policies import CATEGORIES, USES
from tests.model.register import NoticeKey
from tests.model.steps import Click, Dispatch, Expire, Look, Permit, Plan, Step, every_permit
from tests.model.worlds import stories

Facts = dict[str, Any]
_USE = ("data_category", "collected_under", "data_use", "recipient")


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all tests of this module."""
    with stage(make_database()) as made:
        yield made


@settings(max_examples=settings().max_examples // 6)
@given(story=stories(rejections=True), together=st.booleans())
def test_pipeline_agrees_with_the_model(
    place: Stage, story: Sequence[Step], *, together: bool
) -> None:
    """Mails, pages, clicks, notices, ledgers, erasures and permissions equal the model's."""
    agree(place, story, together=together)


def agree(place: Stage, story: Sequence[Step], *, together: bool) -> None:
    """Play a story on both, and compare everything visible.

    `together`: events of several topics are on the bus together, in no order among topics.
    """
    both = Both(place)
    for number, step in enumerate(story):
        seen, expected = both.take(step)
        where = f"step {number}: {step}"
        if isinstance(step, Dispatch):
            assert _ordered(seen) == _ordered(expected), where
        elif isinstance(step, Look | Click | Permit):
            assert seen == expected, where
        elif isinstance(step, Plan | Expire):
            assert _notices(both.real) == _notices(both.world), where
        if not together:
            both.real.settle()
    _compare(both, story[-1].now)


def _compare(both: Both, now: datetime) -> None:
    """Compare everything visible."""
    both.take(Plan(now=now))
    real, world = both.real, both.world
    assert _notices(real) == _notices(world)
    for site in sorted({key[0] for key in world.known()}):
        for later in (now, now + timedelta(days=30)):
            assert real.property_notice(site, later) == world.property_notice(site, later)
    names = {row["notice"]: _name(row) for row in real.notices()}
    for key in sorted(world.known()):
        seen = [_entry(row, names.get(row["notice"])) for row in real.consents(*key)]
        expected = [_entry(row, row["notice"]) for row in world.consents(*key)]
        assert sorted(seen, key=str) == sorted(expected, key=str), key
    assert sorted(real.erasures(), key=str) == sorted(world.erasures(), key=str)
    questions = list(every_permit(world, CATEGORIES, USES, now))
    for question, seen_answer in zip(questions, real.permits(questions), strict=True):
        assert seen_answer == both.player.take(question), question


def _ordered(mails: Any) -> list[Facts]:  # noqa: ANN401 -- what a dispatch returned
    return sorted(mails, key=lambda mail: (mail["property"], mail["account"]))


def _notices(source: Any) -> list[Facts]:  # noqa: ANN401 -- the real system, or the model
    """Return what is listed of each notice; what it asks only if it is a choice."""
    found = []
    for row in source.notices():
        notice = {name: value for name, value in row.items() if name != "notice"}
        asks = sorted((tuple(use[name] for name in _USE) for use in row["asks"]), key=str)
        asked = row["kind"] == "choice" and row["settled"] is None
        found.append(notice | {"asks": asks if asked else None})
    return sorted(found, key=lambda row: str(_name(row)))


def _name(row: Facts) -> NoticeKey:
    return row["property"], row["account"], row["policy_version"], row["sequence"]


def _entry(row: Facts, notice: NoticeKey | None) -> Facts:
    at = row["decided_at"]
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    names = ("event_state", *_USE, "policy_version", "channel")
    channel = row["channel"]
    entry = {name: row[name] for name in names} | {"notice": notice, "decided_at": moment}
    return entry | {"channel": channel if channel != "scheduler" else None}
