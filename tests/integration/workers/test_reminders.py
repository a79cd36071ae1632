"""Reminders: when they are sent, and what stops them. RULES 16."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.integration.sending import SITE, Sending
from tests.model.steps import Report

DAY = timedelta(days=1)


def test_reminders_are_sent_in_time_and_lead_to_the_question(sending: Sending) -> None:
    """Each offset sends one reminder of an open question, with its notice's link and words."""
    sending.people("ann")
    sending.release(respond_by="P30D", reminders=["P7D", "P21D"])
    assert sending.send() == ["ann@example.org"]
    assert sending.later(6 * DAY) == []
    assert sending.later(DAY) == ["ann@example.org"]
    assert sending.later(DAY / 2) == []
    assert sending.later(13.5 * DAY) == ["ann@example.org"]
    assert sending.later(8 * DAY) == []
    (_, first), (mail, second), _ = sending.pipeline.mailbox.kept
    assert first.link == second.link
    assert first.notice != second.notice
    assert mail.subject.startswith("Reminder")
    sequences = [(n["sequence"], n["kind"]) for n in sending.pipeline.notices()]
    assert sequences == [(1, "choice"), (2, "reminder"), (3, "reminder")]


@pytest.mark.parametrize("days", [9, 20])
def test_a_late_reminder_is_left_out(sending: Sending, days: int) -> None:
    """After downtime no reminder is sent that was due long ago."""
    sending.people("ann")
    sending.release(reminders=["P7D"])
    sending.send()
    assert sending.later(days * DAY) == []


def test_of_several_reminders_only_the_last_is_sent(sending: Sending) -> None:
    """After downtime they do not all go out at once."""
    sending.people("ann")
    sending.release(reminders=["PT1H", "PT2H", "PT3H"])
    sending.send()
    assert sending.later(timedelta(hours=2, minutes=30)) == ["ann@example.org"]
    assert sending.later(timedelta(hours=1)) == ["ann@example.org"]


def test_an_answer_stops_the_reminder(sending: Sending) -> None:
    """An answer counts before the reminder is due, and until it is sent."""
    sending.people("ann", "bo", "cy")
    sending.release(reminders=["P7D"])
    assert len(sending.send()) == 3
    sending.say("ann", "deny")
    sending.place.clock += 7 * DAY
    while sending.scheduler.work():
        pass
    sending.say("bo", "allow")
    assert sending.send() == ["cy@example.org"]
    assert ("reminder", "superseded", None) in sending.states()


def test_an_opt_out_stops_the_reminder(sending: Sending) -> None:
    """An opt-out counts before the reminder is due, and until it is sent."""
    sending.people("ann", "bo")
    sending.release(reminders=["P7D"])
    sending.send()
    sending.place.clock += 7 * DAY
    sending.account("ann", contact="none")
    while sending.scheduler.work():
        pass
    sending.account("bo", status="deactivated")
    assert sending.send() == []
    reminders = [seen for seen in sending.states() if seen[0] == "reminder"]
    assert reminders == [
        ("reminder", "suppressed", "all_comms_opt_out"),
        ("reminder", "suppressed", "deactivated"),
    ]


def test_a_bounced_reminder_makes_its_notice_undelivered(sending: Sending) -> None:
    """Its question is asked again at the next working address, and does not expire."""
    sending.people("ann")
    sending.release(respond_by="P30D", reminders=["P7D"])
    sending.send()
    sending.later(7 * DAY)
    name = (SITE, "ann", "v2", 2)
    now = sending.place.clock
    step = Report(now=now, event="bounced", occurred_at=now, identity="1", notice=name)
    sending.pipeline.take(step, name)
    sending.pipeline.settle()
    sending.pipeline.plan()
    assert sending.later(30 * DAY) == []
    assert sending.pipeline.consents(SITE, "ann") == []
    sending.account("ann", email="new@example.org")
    sending.pipeline.plan()
    assert sending.send() == ["new@example.org"]
    assert [n["sequence"] for n in sending.pipeline.notices()] == [1, 2, 3]
