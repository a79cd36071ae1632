"""Unknown outcomes, pauses and paces. RULES 14 to 16."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconsent.cli.notice_report import notice_lines as tell
from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.domain.mail import RenderedMail, Result
from reconsent.domain.notice import Kind
from reconsent.facts.read.evidence import with_evidence
from reconsent.words.mails import render_mail
from reconsent.workers.dispatcher import Dispatcher
from tests.integration.sending import SITE, Sending
from tests.integration.stage import SENDER, URL
from tests.model.steps import Report

DAY = timedelta(days=1)


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
