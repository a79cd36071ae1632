"""What lets a question be asked again counts by its time, in any order of arrival. RULES 15, 27."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import permutations

import pytest

from reconsent.facts.record.asking_again import MOST_IN_VAIN
from tests.integration.informing import HOUR
from tests.integration.stage import Stage, stage
from tests.integration.workers.test_asking_again import ANN, FULL, GONE, World


@pytest.fixture(name="place", scope="module")
def _place(make_database: Callable[[], str]) -> Iterator[Stage]:
    with stage(make_database()) as made:
        yield made


@pytest.mark.parametrize("failed_with", [FULL, GONE])
@pytest.mark.parametrize("against", ["bounced", "complained"])
def test_what_a_verified_address_repeats_depends_on_no_order(
    place: Stage, against: str, failed_with: str
) -> None:
    """A failed mail, a mark and a verification after both, in each order of arrival."""
    for order in permutations(["failed", "marked", "verified"]):
        world = World(place)
        at, notice = place.clock, world.notice("ann")
        place.clock += 4 * HOUR
        for fact in order:
            match fact:
                case "failed":
                    failed = {"notice": notice, "event": "bounced", "reason": failed_with}
                    world.said(failed, at + HOUR)
                case "marked":
                    reason = GONE if against == "bounced" else ""
                    marked = {"email": ANN, "event": against, "reason": reason}
                    world.said(marked, at + 2 * HOUR)
                case "verified":
                    verified = (at + 3 * HOUR).isoformat()
                    world.account("ann", email_verified_at=verified)
        assert world.after(timedelta()) == ["a"], order


@pytest.mark.parametrize("lifted_for", ["delivered", "verified", "operator"])
def test_an_address_verified_after_its_mark_was_lifted_still_counts(
    place: Stage, lifted_for: str
) -> None:
    """A mark that is lifted before a mail fails hides no verification after that."""
    world = World(place)
    world.account("abe", email=ANN)
    world.said(
        {"email": ANN, "event": "bounced", "reason": GONE}, place.clock - timedelta(days=200)
    )
    place.clock += HOUR
    match lifted_for:
        case "delivered":
            world.said({"email": ANN, "event": "delivered"})
        case "verified":
            world.account("abe", email=ANN, email_verified_at=place.clock.isoformat())
        case "operator":
            world.lifted()
    place.clock += HOUR
    world.failed(FULL)
    assert world.after(HOUR) == []
    world.account("abe", email=ANN, email_verified_at=place.clock.isoformat())
    assert "a" in world.after(timedelta())


def test_a_verification_before_a_delivery_counts_after_many_failed_mails(place: Stage) -> None:
    """No delivery repeats a question any more; a person's own word does, in each order."""
    for order in permutations(["failed", "verified", "delivered"]):
        world = World(place)
        world.said({"email": ANN, "event": "bounced", "reason": GONE}, place.clock - 400 * HOUR)
        world.said({"email": ANN, "event": "delivered"}, place.clock - 300 * HOUR)
        for _ in range(MOST_IN_VAIN):
            world.failed(FULL)
            place.clock += HOUR
            assert world.resent() == 1
            assert world.after(HOUR) == ["a"]
        at, notice = place.clock, world.notice("ann")
        place.clock += timedelta(days=12)
        for fact in order:
            match fact:
                case "failed":
                    world.said({"notice": notice, "event": "bounced", "reason": FULL}, at + HOUR)
                case "verified":
                    verified = (at + 2 * HOUR).isoformat()
                    world.account("ann", email_verified_at=verified)
                case "delivered":
                    # Too late to be about that mail.
                    world.said({"email": ANN, "event": "delivered"}, at + timedelta(days=11))
        assert world.after(timedelta()) == ["a"], order


@pytest.mark.parametrize("asks_more", [False, True])
@pytest.mark.parametrize(
    "arrives", ["before it is planned", "before it is sent", "after it is sent"]
)
def test_a_repeat_is_not_sent_if_what_it_repeats_arrives_first(
    place: Stage, arrives: str, *, asks_more: bool
) -> None:
    """Unless it asks more; the first one is open, and its silence does not expire."""
    world = World(place)
    at, notice = place.clock, world.notice("ann")
    delivered = {"notice": notice, "event": "delivered"}
    world.failed(FULL)
    place.clock += timedelta(days=7)
    while world.pipeline.scheduler.work():
        pass
    if arrives == "before it is planned":
        world.said(delivered, at + 2 * HOUR)
    world.pipeline.plan()
    if arrives == "before it is sent":
        world.said(delivered, at + 2 * HOUR)
    if asks_more:
        world.collected("ann", under=None)
        world.pipeline.plan()
    sent = asks_more or arrives == "after it is sent"
    assert world.send() == (["a"] if sent else [])
    if arrives == "after it is sent":
        world.said(delivered, at + 2 * HOUR)
    states = world.sequences()
    assert world.after(timedelta(days=90)) == []
    assert world.sequences() == states
    if not sent:
        assert states[0] == ("bounced", None)
        assert states[1:] in ([], [("superseded", "superseded")])
        world.said({"notice": notice, "event": "bounced", "reason": GONE})
        world.account("ann", email="other@example.org")
        assert world.after(HOUR) == ["o"], "it came back after all"
