"""A question that did not arrive stays open, and is asked again when it may arrive. RULES 15."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest

from reconsent.domain.event import MailEvent
from reconsent.domain.mail import Result
from reconsent.facts.record.asking_again import MOST_IN_VAIN
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.record.marks import order_lift
from reconsent.facts.sending.asking_again import Resent, resend
from tests.integration.informing import HOUR, Informing
from tests.integration.stage import Stage, stage

ANN = "ann@example.org"
FULL = "552 5.2.2 mailbox full"
GONE = "550 5.1.1 no such user"
_WEEK = timedelta(days=7)


@pytest.fixture(name="place", scope="module")
def _place(make_database: Callable[[], str]) -> Iterator[Stage]:
    with stage(make_database()) as made:
        yield made


class World(Informing):
    """A site that has asked ann something; time passes for the scheduler too."""

    def __init__(self, place: Stage) -> None:
        """Ask her."""
        super().__init__(place)
        self.account("ann")
        self.collected("ann")
        self.publish("marketing")
        assert self.send() == ["a"]

    def failed(self, reason: str, event: str = "bounced", at: datetime | None = None) -> None:
        """Report what became of her last mail."""
        said = {"event": event, "reason": reason, "notice": self.notice("ann")}
        self.said(said, at)

    def said(self, fields: dict[str, str], at: datetime | None = None) -> None:
        """Record a report."""
        report = MailEvent.model_validate(fields | {"occurred_at": at or self.place.clock})
        address_hash = self.place.signer.address_hash
        self.place.database.transaction(lambda c: record_mail_events(c, [report], address_hash))

    def resent(self) -> int:
        """Order that what did not arrive is asked again; return how many notices that are."""
        with self.place.database.connection() as connection:
            [(version_id,)] = connection.execute("SELECT max(version_id) FROM releases").fetchall()
            found = resend(connection, version_id, self.place.clock, 9)
            return found.asked_again if found else 0

    def lifted(self) -> None:
        """Lift the marks on her mailbox."""
        mailbox, at = self.place.signer.address_hash(ANN), self.place.clock
        with self.place.database.connection() as connection:
            order_lift(connection, [mailbox], said_by="ops", reason="mended", at=at)

    def sequences(self) -> list[tuple[str, str | None]]:
        """Return the state of each of her choice notices, and how it was settled."""
        return [
            (notice["state"], notice["settled"])
            for notice in self.pipeline.notices()
            if notice["account"] == "ann" and notice["kind"] == "choice"
        ]


def test_a_passing_state_is_waited_for_three_times(place: Stage) -> None:
    """After a week each; then not any more, before something else speaks for it."""
    world = World(place)
    for _ in range(3):
        world.failed(FULL)
        assert world.after(_WEEK - HOUR) == []
        assert world.after(HOUR) == ["a"]
    world.failed(FULL)
    assert world.after(8 * _WEEK) == []
    assert world.sequences() == [("bounced", "superseded")] * 3 + [("bounced", None)]
    world.said({"email": ANN, "event": "delivered"})
    assert world.after(timedelta()) == ["a"]


def test_a_new_version_is_waited_for_anew(place: Stage) -> None:
    """It is another question."""
    world = World(place)
    for _ in range(4):
        world.failed(FULL)
        world.after(_WEEK)
    assert world.after(_WEEK) == []
    world.publish("marketing", "analytics")
    assert world.send() == ["a"]
    world.failed(FULL)
    assert world.after(_WEEK) == ["a"]


def test_where_the_mailbox_is_to_blame_time_changes_nothing(place: Stage) -> None:
    """Once the mark is lifted it is asked again, by whatever lifted it."""
    world = World(place)
    world.failed(GONE)
    assert world.after(3 * _WEEK) == []
    mailbox = place.signer.address_hash(ANN)
    at = place.clock
    place.database.transaction(
        lambda c: order_lift(c, [mailbox], said_by="ops", reason="mended", at=at)
    )
    assert world.after(timedelta()) == ["a"]
    world.failed(GONE)
    assert world.after(2 * _WEEK) == []
    world.account("ann", email_verified_at=place.clock.isoformat())
    assert world.after(timedelta()) == ["a"]


@pytest.mark.parametrize("reason", [FULL, GONE])
def test_mail_that_arrives_later_asks_again(place: Stage, reason: str) -> None:
    """Another account's mail to the same mailbox, in whatever order the reports come."""
    for delivered_first in (False, True):
        world = World(place)
        world.account("abe", email=ANN)
        world.collected("abe")
        assert world.after(timedelta()) == ["a"]
        notices = {one["account"]: one["notice"] for one in world.pipeline.notices()}
        at = place.clock
        bounced = {"notice": notices["ann"], "event": "bounced", "reason": reason}
        arrived = {"notice": notices["abe"], "event": "delivered"}
        reports = [(bounced, at + HOUR), (arrived, at + 2 * HOUR)]
        for said in reversed(reports) if delivered_first else reports:
            world.said(*said)
        assert world.after(3 * HOUR) == ["a"]
        world.failed(reason)
        world.said(arrived | {"provider_id": "again"}, at + 2 * HOUR)
        assert world.after(HOUR) == [], "it is not later than what failed"


@pytest.mark.parametrize("by_address", [False, True])
@pytest.mark.parametrize("reason", [FULL, GONE])
def test_what_arrives_after_it_failed_is_not_asked_again(
    place: Stage, reason: str, *, by_address: bool
) -> None:
    """In either order: not by that delivery, time, an order, a lifted mark or another mailbox."""
    for reports in permutations([("bounced", 1), ("delivered", 2), ("deferred", 1)]):
        world = World(place)
        at, notice = place.clock, world.notice("ann")
        about = {"email": ANN} if by_address else {"notice": notice}
        for event, hours in reports:
            world.said(about | {"event": event, "reason": reason}, at + hours * HOUR)
        assert world.after(3 * HOUR) == []
        assert not world.resent()
        world.lifted()
        assert world.after(3 * _WEEK) == []
        world.account("ann", email="other@example.org")
        assert world.after(HOUR) == []
        world.said({"notice": notice, "event": "bounced", "reason": reason}, place.clock)
        assert world.after(HOUR) == ["o"], "it came back after all"


def test_a_reminder_that_arrives_after_it_failed_asks_nothing_again(place: Stage) -> None:
    """The notice had arrived before it; without the second report it is asked again."""
    for arrives in (True, False):
        world = World(place)
        for _ in range(40):
            if world.after(timedelta(days=1)):
                break
        reminder = world.notice("ann")
        reminders = [n["notice"] for n in world.pipeline.notices() if n["kind"] == "reminder"]
        assert reminders == [reminder]
        world.failed(FULL)
        if arrives:
            at = place.clock + HOUR
            world.said({"notice": reminder, "event": "delivered"}, at)
        assert world.after(_WEEK) == ([] if arrives else ["a"])


def test_deliveries_repeat_a_question_six_times_at_most(place: Stage) -> None:
    """Bounces and deliveries that alternate without end; a person's own word still counts."""
    world = World(place)
    for tries in range(1, 10):
        world.failed(GONE)
        world.account("ann", contact="service")
        place.clock += timedelta(days=11)
        world.said({"email": ANN, "event": "delivered"})
        assert world.after(HOUR) == (["a"] if tries <= MOST_IN_VAIN else [])
    world.failed(GONE)
    place.clock += HOUR
    world.account("ann", email_verified_at=place.clock.isoformat())
    assert world.after(HOUR) == ["a"]


@pytest.mark.parametrize("spoken_for", ["verified", "delivered", "lifted"])
def test_a_server_whose_clock_is_behind_makes_nobody_be_asked_at_once(
    place: Stage, spoken_for: str
) -> None:
    """A bounce dated before what lifts its mark: a mail fails no earlier than it was accepted."""
    world = World(place)
    match spoken_for:
        case "verified":
            world.account("ann", email_verified_at=place.clock.isoformat())
        case "delivered":
            world.said({"email": ANN, "event": "delivered"})
        case "lifted":
            mailbox, at = place.signer.address_hash(ANN), place.clock
            place.database.transaction(
                lambda c: order_lift(c, [mailbox], said_by="ops", reason="mended", at=at)
            )
    place.clock += HOUR
    world.publish("marketing", "analytics")
    assert world.send() == ["a"]
    world.failed(GONE, at=place.clock - 400 * timedelta(days=1))
    assert world.after(_WEEK - HOUR) == []
    assert world.after(HOUR) == ["a"], "it counts as a passing state"


def test_a_mailbox_that_comes_back_is_tried_again(place: Stage) -> None:
    """An account that had another one meanwhile, to which it was not asked again."""
    world = World(place)
    world.failed(FULL)
    world.account("ann", email=None)
    assert world.after(2 * _WEEK) == []
    world.account("ann")
    assert world.after(timedelta()) == ["a"]


def test_a_rejection_that_does_not_blame_the_mailbox(place: Stage) -> None:
    """As on a listing: it is asked again after a week, or at once by an operator's order."""
    world = World(place)
    world.account("bo")
    world.collected("bo")
    world.pipeline.plan()
    [due] = [n["notice"] for n in world.pipeline.notices() if n["state"] == "due"]
    world.pipeline.mailbox.answers = {UUID(due): Result("rejected", "554 5.7.1 listed")}
    assert world.send() == []
    world.pipeline.mailbox.answers = {}
    assert world.after(_WEEK) == ["b"]
    world.failed(GONE)
    world.said({"email": "bo@example.org", "event": "bounced", "reason": "blocked: listed"})
    with place.database.connection() as connection:
        [(version_id,)] = connection.execute("SELECT max(version_id) FROM releases").fetchall()
    at = place.clock + HOUR
    for some in (Resent(1, 1), None):
        assert place.database.transaction(lambda c: resend(c, version_id, at, 10)) == some
    assert world.after(timedelta()) == ["b"], "nothing is sent to a mailbox that does not exist"


def test_it_does_not_expire_and_is_followed_where_more_is_asked(place: Stage) -> None:
    """A question that did not arrive stays open; a greater ask is asked where that may arrive."""
    world = World(place)
    world.failed(FULL)
    world.publish("marketing", "analytics")
    assert world.send() == ["a"]
    assert world.sequences() == [("bounced", "superseded"), ("accepted", None)]
