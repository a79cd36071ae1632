"""The model against the worked cases, and against properties of all worlds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.model.cases import Case, ModelSource, load, run
from tests.model.policies import CATEGORIES, USES
from tests.model.rules import World
from tests.model.steps import (
    Click,
    Dispatch,
    Plan,
    Player,
    Publish,
    Record,
    Report,
    Step,
    Tombstone,
    every_permit,
)
from tests.model.uses import covers, duration, material, meet
from tests.model.worlds import NO_MAIL, stories

in_any_world = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Facts = dict[str, Any]


@pytest.mark.parametrize("case", load(), ids=lambda case: case.title)
def test_cases(case: Case) -> None:
    """Each story of rules.yaml has the results that it states."""
    run(case, ModelSource())


def test_covers_and_meets() -> None:
    """A dotted parent covers, a mere prefix does not; unknown is a separate version."""
    contact, email = ("user.contact", "v1", "ads", "us"), ("user.contact.email", "v1", "ads", "us")
    assert covers(contact, email)
    assert not covers(email, contact)
    assert not covers(("user.con", "v1", "ads", "us"), contact)
    assert not covers(("user", None, "ads", "us"), contact)
    assert covers(("*", "*", "ads", "*"), ("user", None, "ads.mail", "us"))
    assert meet(("user", "*", "ads.mail", "*"), email) == (email[0], "v1", "ads.mail", "us")
    assert meet(contact, ("user.payment", "v1", "ads", "us")) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, False),
        ({"controller": "other"}, True),
        ({"notice": {"material": True}}, True),
        (
            {"declares": [{"data": "user.contact", "uses": ["ads.mail"], "retention": "P30D"}]},
            False,
        ),
        ({"declares": [{"data": "user", "uses": ["ads"], "retention": "P30D"}]}, True),
        ({"declares": [{"data": "user.contact", "uses": ["ads"], "retention": "P1M"}]}, False),
        ({"declares": [{"data": "user.contact", "uses": ["ads"], "retention": "P31D"}]}, True),
        ({"declares": [{"data": "user.contact", "uses": ["ads"]}]}, True),
    ],
)
def test_material(change: Facts, expected: bool) -> None:  # noqa: FBT001 - a row of the table
    """A new use, another controller, longer retention or an explicit flag makes it material."""
    row = {"data": "user.contact", "uses": ["ads"], "retention": "P30D"}
    previous = {"controller": "us", "declares": [row]}
    assert material({**previous, **change}, previous) is expected
    assert not material({**previous, **change}, None)


def test_durations() -> None:
    """A year is 365 days and a month 30."""
    assert duration("P1Y1M1W1DT1H1M1S") == timedelta(days=403, seconds=3661)


@in_any_world
@given(stories(rejections=True))
def test_no_mail_breaks_the_rules(story: Sequence[Step]) -> None:
    """No suppressed account is mailed; each mail has the address and ask of its kind."""
    player = Player()
    for step in story:
        before = deepcopy(player.world)
        taken: Any = player.take(step)
        for mail in taken if isinstance(step, Dispatch) else []:
            key = (mail["property"], mail["account"])
            person = before.person(key)
            assert person.status == "active"
            assert person.contact in (
                ["all"] if mail["kind"] == "information" else ["all", "service"]
            )
            assert not person.minor
            assert mail["email"] == person.email
            assert mail["asks"] == before.ask(key)
            assert bool(mail["asks"]) == (mail["kind"] == "choice")


@in_any_world
@given(stories(rejections=True))
def test_an_account_to_be_asked_has_one_open_notice(story: Sequence[Step]) -> None:
    """After planning, an account has an open choice notice exactly if its ask is not empty.

    It never has more than one. Sequences have no gaps.
    """
    player = Player()
    for step in story:
        player.take(step)
        world = player.world
        for key in world.known() if isinstance(step, Plan) else ():
            mine = [notice for notice in world.notice_list if notice.key == key]
            opened = [notice for notice in mine if world.is_open(notice)]
            choices = [notice for notice in opened if notice.kind == "choice"]
            assert len(opened) <= 1
            assert bool(choices) == bool(world.ask(key))
            for one, next_one in pairwise(notice for notice in mine if notice.version == "v2"):
                assert next_one.sequence == one.sequence + 1


@in_any_world
@given(stories(rejections=True))
def test_planning_again_changes_nothing(story: Sequence[Step]) -> None:
    """The plan depends only on the recorded facts."""
    player = Player()
    for step in story:
        player.take(step)
        if isinstance(step, Plan):
            notices = player.world.notices()
            player.world.plan()
            assert player.world.notices() == notices


@in_any_world
@given(stories())
def test_replaying_everything_changes_nothing(story: Sequence[Step]) -> None:
    """Replaying all messages, each stream in order, gives the same facts and no mail."""
    player = Player()
    for step in story:
        player.take(step)
    before = facts(player.world), player.world.notices()
    for step in story:
        if isinstance(step, MESSAGES):
            player.take(step)
    player.world.plan()
    assert player.world.dispatch(story[-1].now) == []
    assert (facts(player.world), player.world.notices()) == before


@in_any_world
@given(stories(leave_out=NO_MAIL))
def test_facts_do_not_depend_on_the_interleaving(story: Sequence[Step]) -> None:
    """Consuming one topic after the other, in either order, gives the same facts."""
    messages = [step for step in story if isinstance(step, MESSAGES)]
    seen = []
    for order in (messages, sorted(messages, key=topic), sorted(messages, key=topic, reverse=True)):
        player = Player()
        for step in order:
            player.take(step)
        seen.append(facts(player.world))
    assert seen[0] == seen[1] == seen[2]


@in_any_world
@given(stories())
def test_an_undeclared_use_requires_an_allow(story: Sequence[Step]) -> None:
    """An allowed use is declared by the data's own version, or an allow meets it.

    Minors and deleted accounts never have a permission.
    """
    player = Player()
    for step in story:
        player.take(step)
    world = player.world
    for question in every_permit(world, CATEGORIES[1:3], USES[:3], story[-1].now):
        allowed, reason, _ = world.permit(
            *question.key,
            question.data_category,
            question.collected_under,
            question.data_use,
            question.recipient,
            now=question.now,
        )
        if allowed:
            assert reason in ("declared", "consented")
            assert world.person(question.key).status != "deleted"
            assert not world.person(question.key).minor
        if reason == "consented":
            allows = [entry.item for entry in world.ledger[question.key] if entry.answer == "allow"]
            by = question.recipient or "*"
            about = (question.data_category, question.collected_under, question.data_use, by)
            assert any(meet(allow, about) for allow in allows)


@in_any_world
@given(stories())
def test_a_preview_matches_the_release(story: Sequence[Step]) -> None:
    """A preview's counts sum to the accounts, and match the mails after publishing."""
    player = Player()
    for step in story:
        if isinstance(step, Publish):
            world, counts = deepcopy(player.world), player.world.preview(step.document)
            parts = (counts["choice"], counts["information"], counts["untouched"])
            assert counts["accounts"] == sum(parts) + sum(counts["suppressed"].values())
            known = [v["version"] for v in world.lines.get(step.document["policy"], [])]
            if step.document["version"] not in known:
                world.publish(step.document)
                world.plan()
                mails = world.dispatch(step.now)
                mine = [m for m in mails if m["property"] in step.document["properties"]]
                assert Counter(mail["kind"] for mail in mine) == Counter(
                    {k: counts[k] for k in ("choice", "information") if counts[k]}
                )
        player.take(step)


def test_random_worlds_reach_all_states() -> None:
    """The random worlds reach every state, reason and status."""
    seen: Counter[object] = Counter()

    @settings(in_any_world, max_examples=50, database=None)
    @given(stories(rejections=True))
    def play(story: Sequence[Step]) -> None:
        player = Player()
        for step in story:
            result = player.take(step)
            if isinstance(step, Click):
                seen[result] += 1
        for notice in player.world.notices():
            seen.update([notice["kind"], notice["state"], notice["suppression"], notice["settled"]])
            seen[f"sequence {notice['sequence']}"] += 1
        for site, account in player.world.known():
            seen.update(entry["event_state"] for entry in player.world.consents(site, account))

    expected: set[object] = {303, 404, 409, "choice", "information", "sequence 2"}
    expected |= {"accepted", "delivered", "bounced", "complained", "rejected", "superseded"}
    expected |= {
        "minor",
        "deactivated",
        "all_comms_opt_out",
        "not_opted_in",
        "no_address",
        "deleted",
    }
    expected |= {"answered", "expired", "void"}
    expected |= {f"Consent{what}" for what in ("Given", "Refused", "Withdrawn", "Expired")}
    expected |= {"ConsentInvalidated"}
    for number in range(8):  # nearly always the first two are enough
        if not expected <= set(seen):
            seed(number)(play)()
    assert expected <= set(seen)


# ---------------------------------------------------------------------- facts of a world

MESSAGES = (Publish, Record, Tombstone, Report)


def topic(step: Step) -> str:
    """Return the topic of a message."""
    if isinstance(step, Record):
        return step.topic
    return "policy-versions" if isinstance(step, Publish) else "accounts"


def facts(world: World) -> Facts:
    """Return the facts that do not depend on the order of arrival."""
    return {
        "/".join(key): (
            world.person(key),
            world.held(key),
            world.standing(key),
            world.ask(key),
            sorted(world.consents(*key), key=str),
        )
        for key in sorted(world.known())
    } | {"erasures": world.erasures()}
