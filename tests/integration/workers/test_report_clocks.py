"""Reports of providers whose clocks are wrong count when they can be right. RULES 15, 16, 27."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Final
from uuid import UUID

import pytest

from reconsent.domain.event import MailEvent
from reconsent.facts.record.mail_events import record_mail_events
from tests.integration.informing import HOUR, START, Informing
from tests.integration.stage import Stage, stage

FULL: Final = "552 5.2.2 mailbox full"
_WEEK: Final = timedelta(days=7)


@pytest.fixture(name="place", scope="module")
def _place(make_database: Callable[[], str]) -> Iterator[Stage]:
    with stage(make_database()) as made:
        yield made


class World(Informing):
    """A site that has asked ann something."""

    def __init__(self, place: Stage, *, known: bool = True) -> None:
        """Ask her; `known`: the provider said that it accepted the mail."""
        super().__init__(place)
        self.account("ann")
        self.collected("ann")
        self.publish("marketing")
        [self.asked] = [n["notice"] for n in self.pipeline.notices() if n["state"] == "due"]
        if not known:
            self.pipeline.mailbox.answers = {UUID(self.asked): "unknown"}
        self.send()
        self.pipeline.mailbox.answers = {}

    def said(self, event: str, at: datetime) -> None:
        """Record a report about the notice."""
        fields = {"event": event, "notice": self.asked, "occurred_at": at, "reason": FULL}
        report = MailEvent.model_validate(fields)
        address_hash = self.place.signer.address_hash
        self.place.database.transaction(lambda c: record_mail_events(c, [report], address_hash))

    def times(self) -> tuple[datetime, datetime, datetime | None]:
        """Return when the notice was attempted, accepted and last failed."""
        with self.place.database.connection() as connection:
            [times] = connection.execute(
                "SELECT started_at, accepted_at, undelivered_at FROM notices"
                " JOIN attempts USING (attempt_id) WHERE notice_id = %s",
                [self.asked],
            ).fetchall()
        return times


@pytest.mark.parametrize("event", ["delivered", "deferred", "bounced", "complained"])
def test_a_mail_is_accepted_no_earlier_than_it_is_attempted(place: Stage, event: str) -> None:
    """Where only a report says that it was accepted: the time to answer begins with it."""
    for order in permutations([datetime(2001, 1, 1, tzinfo=UTC), START + 30 * _WEEK]):
        world = World(place, known=False)
        world.said(event, order[0])
        attempted, accepted, failed = world.times()
        assert accepted == max(attempted, order[0])
        assert failed in (None, accepted)
        world.said(event, order[1])
        assert world.times()[1] == accepted


def test_a_mail_is_accepted_no_later_than_its_report_came_in(place: Stage) -> None:
    """A report from the bus that is dated ahead."""
    world = World(place, known=False)
    world.place.clock += HOUR
    world.reported(world.asked, "delivered", world.place.clock + 40 * _WEEK)
    assert world.times()[1] == world.place.clock


@pytest.mark.parametrize("behind", [timedelta(), timedelta(days=400)])
@pytest.mark.parametrize("between", [timedelta(), timedelta(seconds=1)])
def test_what_arrived_when_it_failed_or_later_is_not_asked_again(
    place: Stage, behind: timedelta, between: timedelta
) -> None:
    """Also by a clock that is behind; what fails after it arrived did not arrive."""
    for arrived_first in (False, True):
        for recorded_first in (False, True):
            world = World(place)
            first, second = place.clock - behind, place.clock - behind + between
            events = ("delivered", "bounced") if arrived_first else ("bounced", "delivered")
            reports = list(zip(events, (first, second), strict=True))
            for event, at in reversed(reports) if recorded_first else reports:
                world.said(event, at)
            world.said("deferred", first)
            failed = arrived_first and bool(between)
            assert world.after(_WEEK + HOUR) == (["a"] if failed else [])


def test_what_fails_again_after_it_arrived_did_not_arrive(place: Stage) -> None:
    """In each order, by a clock that is behind."""
    for reports in permutations([("bounced", 1), ("delivered", 2), ("bounced", 3)]):
        world = World(place)
        for event, hours in reports:
            world.said(event, place.clock - 400 * _WEEK + hours * HOUR)
        assert world.after(_WEEK) == ["a"]
