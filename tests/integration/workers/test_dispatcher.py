"""Reminders, unknown outcomes, pauses and paces. RULES 14 to 16."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from reconsent.cli.notice_report import notice_lines as tell
from reconsent.domain.change import as_event
from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.domain.mail import Delivery, RenderedMail, Result
from reconsent.domain.notice import Kind
from reconsent.facts.read.evidence import with_evidence
from reconsent.facts.sending.releases import Order, apply_flags, order
from reconsent.facts.versions import PublishedVersions
from reconsent.words.mails import render_mail
from reconsent.workers.dispatcher import Dispatcher
from reconsent.workers.scheduler import Scheduler
from tests.drafts import draft, row
from tests.integration.pipeline import Pipeline
from tests.integration.stage import SENDER, URL, Stage, stage
from tests.model.steps import Publish, Record, Report

DAY = timedelta(days=1)
START = datetime(2027, 1, 1, tzinfo=UTC)
SITE = "campaigner.example"


@pytest.fixture(scope="module")
def shared(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all tests of this module."""
    with stage(make_database()) as made:
        yield made


class Sending:
    """A release whose second version asks one question."""

    def __init__(self, place: Stage) -> None:
        """Publish the first version; there are no accounts yet."""
        self.place = place
        self.pipeline = Pipeline(place)
        self.place.clock = START
        self.scheduler = self.pipeline.scheduler
        self._publish("v1", None, "essential.service")
        self.pipeline.settle()

    def people(self, *accounts: str, **fields: Any) -> None:  # noqa: ANN401 -- JSON
        """Create accounts whose address was collected under the first version."""
        for account in accounts:
            self.account(account, **fields)
            data = {"data_category": "user.contact.email", "collected_under": "v1"}
            self._record("collections", account, data, "collected_at")
        self.pipeline.settle()

    def account(self, account: str, **fields: Any) -> None:  # noqa: ANN401 -- JSON
        """Record an account as of now."""
        data = {"status": "active", "contact": "all", "email": f"{account}@example.org"}
        self._record("accounts", account, data | fields, "updated_at")
        self.pipeline.settle()

    def release(self, **notice: Any) -> None:  # noqa: ANN401 -- JSON
        """Publish the second version and plan it."""
        self._publish("v2", "v1", "essential.service", "marketing", **notice)
        self.pipeline.settle()
        self.pipeline.plan()

    def say(self, account: str, answer: str) -> None:
        """Record an answer that was not given on the page."""
        data = {"answer": answer, "data_use": "marketing"}
        self._record("choices", account, data, "decided_at")
        self.pipeline.settle()
        self.pipeline.plan()

    def send(self) -> list[str]:
        """Send what is due; return the addresses."""
        before = len(self.pipeline.mailbox.kept)
        while self.pipeline.dispatcher.work():
            pass
        return [to.email for _, to in self.pipeline.mailbox.kept[before:]]

    def later(self, time: timedelta) -> list[str]:
        """Advance the clock, run the scheduler and send; return the addresses."""
        self.place.clock += time
        while self.scheduler.work():
            pass
        self.pipeline.plan()
        return self.send()

    def states(self) -> list[tuple[str, str, str | None]]:
        """List the kind, state and suppression of all notices."""
        return [(n["kind"], n["state"], n["suppression"]) for n in self.pipeline.notices()]

    def answers(self, account: str, outcome: Any) -> None:  # noqa: ANN401 -- an outcome
        """Set the provider's result for an account's first notice."""
        [notice] = [n for n in self.pipeline.notices() if n["account"] == account]
        self.pipeline.mailbox.answers[UUID(notice["notice"])] = outcome

    def order(self, what: Order) -> bool:
        """Give an order for the release."""
        policies = self.place.database.transaction(PublishedVersions().now)
        done = self.place.database.transaction(
            lambda c: order(c, policies, what, "campaigner", "v2")
        )
        while self.place.database.transaction(lambda c: apply_flags(c, policies, 2)):
            pass
        return done

    def schedule(self, delivery: Delivery, settle_after: timedelta) -> None:
        """Set how unknown outcomes are settled."""
        self.scheduler = Scheduler(
            self.place.database, self.place.now, delivery=delivery, settle_after=settle_after
        )

    def _publish(self, version: str, follows: str | None, *uses: str, **notice: Any) -> None:  # noqa: ANN401
        made = draft(
            version=version,
            follows=follows,
            effective_at="2026-01-01T00:00:00Z",
            properties=[SITE],
            declares=[row("user.contact.email", *uses)],
            notice=notice,
        )
        self.pipeline.take(Publish(now=self.place.clock, document=json.loads(as_event(made))))

    def _record(self, topic: str, account: str, data: dict[str, Any], time: str) -> None:
        event = {"property": SITE, "account": account, time: self.place.clock.isoformat()} | data
        identity = f"{topic} {account} {self.place.clock}"
        self.pipeline.take(Record(now=self.place.clock, topic=topic, data=event, identity=identity))


@pytest.fixture
def sending(shared: Stage) -> Sending:
    """Return an empty world with its first version."""
    return Sending(shared)


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


def test_a_mail_that_cannot_be_written_holds_up_no_other(
    sending: Sending, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once a try, and sent once it can be written."""

    def broken(kind: Kind, **about: Any) -> RenderedMail:  # noqa: ANN401 -- as render_mail
        if kind == "reminder":
            raise KeyError("a phrase")
        return render_mail(kind, **about)

    sending.people("ann")
    sending.release(reminders=["P7D"])
    assert sending.send() == ["ann@example.org"]
    monkeypatch.setattr("reconsent.workers.dispatcher.render_mail", broken)
    sending.people("bo")
    assert sending.later(7 * DAY) == ["bo@example.org"]
    assert caplog.text.count("the reminder mail of campaigner v2") == 1
    assert sending.pipeline.dispatcher.idle()
    monkeypatch.undo()
    assert sending.later(timedelta(minutes=4)) == []
    assert sending.later(timedelta(minutes=2)) == ["ann@example.org"]


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


def test_an_unknown_outcome_is_abandoned_at_most_once(sending: Sending) -> None:
    """After the deadline it is abandoned and listed, and never sent again."""
    sending.people("ann", "bo")
    sending.release()
    sending.answers("ann", "unknown")
    sending.schedule("at_most_once", DAY)
    assert sending.send() == ["bo@example.org"]
    sending.pipeline.mailbox.answers.clear()
    sending.place.clock = datetime.now(UTC)  # attempts end by the clock of the database
    assert sending.later(DAY / 2) == []
    assert ("choice", "unknown", None) in sending.states()
    assert sending.later(DAY) == []
    assert ("choice", "abandoned", None) in sending.states()


def test_an_unknown_outcome_is_sent_again_at_least_once(sending: Sending) -> None:
    """After the deadline it is sent again, and both attempts are kept."""
    sending.people("ann")
    sending.release()
    sending.answers("ann", "unknown")
    sending.schedule("at_least_once", DAY)
    assert sending.send() == []
    sending.pipeline.mailbox.answers.clear()
    sending.place.clock = datetime.now(UTC)
    assert sending.later(2 * DAY) == ["ann@example.org"]
    with sending.place.database.connection() as connection:
        rows = connection.execute("SELECT tried, attempt_id FROM notices").fetchall()
        outcomes = connection.execute("SELECT outcome FROM attempts ORDER BY attempt_id").fetchall()
    [(tried, attempt_id)] = rows
    assert [what for _, what in tried] == ["unknown"]
    assert tried[0][0] < attempt_id
    assert outcomes == [("unknown=1",), ("accepted=1",)]


@pytest.mark.parametrize("reason", ["no \0 such user", "no \ud800 such user"])
def test_an_outcome_is_recorded_whatever_words_come_with_it(sending: Sending, reason: str) -> None:
    """A provider's words that cannot be stored are dropped; neither outcome nor sender is lost."""
    sending.people("ann", "bo")
    sending.release()
    sending.answers("ann", Result("rejected", reason))
    assert sending.send() == ["bo@example.org"]
    with sending.place.database.connection() as connection:
        rows = connection.execute("SELECT state, reason FROM notices ORDER BY state").fetchall()
    assert rows == [("accepted", None), ("rejected", None)]


def test_a_deferred_notice_waits_for_its_time(sending: Sending) -> None:
    """Each notice waits until the time that the provider gave."""
    sending.people("ann", "bo")
    sending.release()
    until = sending.place.clock + DAY
    sending.answers("ann", Result("retry", "greylisted", until))
    assert sending.send() == ["bo@example.org"]
    assert sending.pipeline.dispatcher.idle()
    sending.pipeline.mailbox.answers.clear()
    assert sending.later(DAY / 2) == []
    assert sending.later(DAY / 2) == ["ann@example.org"]


def test_a_paused_release_sends_nothing_until_it_is_resumed(sending: Sending) -> None:
    """Planned notices wait, also those planned later; answers are still accepted."""
    sending.people("ann", "bo")
    sending.release()
    assert sending.order("pause")
    assert not sending.order("pause")
    sending.people("cy")
    sending.pipeline.plan()
    assert sending.send() == []
    assert sending.states() == [("choice", "planned", None)] * 3
    sending.say("ann", "deny")
    assert sending.order("resume")
    assert sorted(sending.send()) == ["bo@example.org", "cy@example.org"]


def test_a_cancelled_release_mails_nobody_else(sending: Sending) -> None:
    """Mailed accounts can still answer; the other notices stay suppressed as cancelled."""
    sending.people("ann", "bo")
    sending.account("bo", contact="none")
    sending.release(reminders=["P7D"])
    assert sending.send() == ["ann@example.org"]
    sending.people("cy")
    sending.pipeline.plan()
    assert sending.order("cancel")
    assert not sending.order("cancel")
    with pytest.raises(BadInputError, match="permanent"):
        sending.order("resume")
    sending.place.clock += DAY
    sending.account("bo", contact="all")
    sending.people("di")
    assert sending.later(6 * DAY) == []
    states = sending.states()
    assert states[0] == ("choice", "accepted", None)
    assert ("reminder", "suppressed", "cancelled") in states
    assert states.count(("choice", "suppressed", "cancelled")) == 3


def test_all_dispatchers_share_one_pace(sending: Sending) -> None:
    """The pace limits the notices of all dispatchers together."""
    names = [f"p{number}" for number in range(10)]
    sending.people(*names)
    sending.release()
    slow = 1e-6
    dispatchers = [
        Dispatcher(
            sending.place.database,
            sending.place.lease,
            sending.pipeline.mailbox,
            sending.place.signer,
            public_url=URL,
            sender=SENDER,
            now=sending.place.now,
            per_second=slow,
        )
        for _ in range(2)
    ]
    for dispatcher in dispatchers * 3:
        assert dispatcher.work()
    assert len(sending.pipeline.mailbox.kept) == 1


def test_the_sent_text_is_kept(sending: Sending) -> None:
    """A notice's history shows each attempt, each report and the exact text."""
    sending.people("ann")
    sending.release()
    sending.answers("ann", Result("retry", "come back later"))
    with pytest.raises(OutsideError, match="come back later"):
        sending.send()
    sending.pipeline.mailbox.answers.clear()
    assert sending.send() == ["ann@example.org"]
    now = sending.place.clock
    name = (SITE, "ann", "v2", 1)
    step = Report(now=now, event="delivered", occurred_at=now, identity="1", notice=name)
    sending.pipeline.take(step, name)
    [listed] = sending.pipeline.notices()
    with sending.place.database.connection() as connection:
        [proven] = with_evidence(connection, [listed])
    assert [a["outcome"] for a in proven["attempts"]] == ["retry", "delivered"]
    assert [e["event"] for e in proven["events"]] == ["delivered"]
    [(mail, _)] = sending.pipeline.mailbox.kept
    assert proven["letter"]["text"] == mail.text
    assert proven["letter"]["html"] == mail.html
    assert "Subject: Your choice" in "\n".join(tell(proven))
