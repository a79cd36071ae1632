"""Senders that are presumed dead and are not: what they know counts, and nothing is doubled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from reconsent.domain.event import MailEvent
from reconsent.domain.mail import Delivery, Outcome
from reconsent.domain.signing import Signer
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.restores import record_lost_time, resume_sending
from reconsent.facts.sending.claims import Claim
from reconsent.facts.sending.due import Lane
from reconsent.workers.dispatcher import Dispatcher
from tests.chaos.people import asked
from tests.integration.senders import (
    NEVER,
    SIX,
    Interrupted,
    Sender,
    outcomes,
    proven,
    sending,
    settle,
    states,
)
from tests.integration.stage import Mailbox

ADDRESS_HASH = Signer("secret of the tests").address_hash


@pytest.mark.parametrize(
    ("delivery", "outcome", "state", "shown"),
    [
        ("at_most_once", "accepted", "accepted", "accepted"),
        ("at_most_once", "rejected", "rejected", "rejected"),
        ("at_most_once", "retry", "due", "retry"),
        ("at_most_once", "unknown", "abandoned", "abandoned"),
        ("at_least_once", "accepted", "accepted", "accepted"),
        ("at_least_once", "rejected", "rejected", "rejected"),
        ("at_least_once", "retry", "due", "unknown"),
        ("at_least_once", "unknown", "due", "unknown"),
    ],
)
def test_results_of_a_sender_presumed_dead_count(
    conninfo: str, delivery: Delivery, outcome: Outcome, state: str, shown: str
) -> None:
    """They count even after the deadline settled them, unless another sender sent again."""
    provider = Interrupted()
    with sending(conninfo, provider) as sender, sending(conninfo, Mailbox()) as other:
        asked(sender.database, SIX[:2])
        first, _ = proven(sender.database)
        provider.answers = {UUID(first["notice"]): outcome}

        def judge() -> None:
            sender.lose_lease()
            other.look_after()
            assert states(other.database) == {"unknown": 2}
            settle(other.database, delivery)
            provider.rests_until = NEVER

        provider.meanwhile = [judge]
        sender.send_all()
        first, second = proven(sender.database)
    assert first["state"] == state
    assert [attempt["outcome"] for attempt in first["attempts"]] == [shown]
    assert second["state"] == "accepted"


@pytest.mark.parametrize("lose", [Sender.lose_lease, Sender.lapse])
@pytest.mark.parametrize("delivery", ["at_most_once", "at_least_once"])
def test_a_sender_suspended_before_the_hand_over_does_not_double(
    conninfo: str, delivery: Delivery, lose: Callable[[Sender], None]
) -> None:
    """Another sender sends what was claimed and not begun; the resumed one does not."""
    provider = Interrupted()
    others = Mailbox()
    with sending(conninfo, provider) as sender, sending(conninfo, others) as other:
        asked(sender.database, SIX)

        def take_over() -> None:
            lose(sender)
            other.look_after()
            settle(other.database, delivery)
            other.send_all()

        provider.meanwhile = [take_over]  # while the first three of six are handed over
        sender.send_all()
        notices = {notice["notice"]: notice for notice in proven(sender.database)}
    under_way = {to.notice for _, to in provider.kept}
    unknown = ["accepted"] if delivery == "at_most_once" else ["unknown", "accepted"]
    assert len(provider.kept) == 3
    assert len(others.kept) == (3 if delivery == "at_most_once" else 6)
    for name, notice in notices.items():
        shown = [attempt["outcome"] for attempt in notice["attempts"]]
        assert notice["state"] == "accepted"
        assert shown == (unknown if name in under_way else ["retry", "accepted"])


def test_reports_during_the_hand_over_count(conninfo: str) -> None:
    """Of an attempt of which only some members still wait, the others keep what was reported."""
    provider = Interrupted()
    with sending(conninfo, provider) as sender:
        asked(sender.database, SIX[:3])
        first, *_ = proven(sender.database)
        report = MailEvent(notice=first["notice"], event="bounced", occurred_at=datetime.now(UTC))
        provider.meanwhile = [
            lambda: sender.database.transaction(
                lambda c: record_mail_events(c, [report], ADDRESS_HASH)
            )
        ]
        sender.send_all()
        assert states(sender.database) == {"accepted": 2, "bounced": 1}
        with sender.database.connection() as connection:
            counts = connection.execute(
                "SELECT state, sum(notices)::integer FROM notice_counts GROUP BY state"
                " HAVING sum(notices) <> 0"
            )
            assert dict(counts) == {"accepted": 2, "bounced": 1}


def test_what_was_claimed_before_a_restore_is_held(conninfo: str) -> None:
    """A restore that is noticed between claim and hand-over counts for the hand-over."""
    provider = Interrupted()
    with sending(conninfo, provider) as sender:
        asked(sender.database, SIX)
        # while the first three of six are handed over
        provider.meanwhile = [lambda: sender.database.transaction(record_lost_time)]
        sender.send_all()
        assert len(provider.kept) == 3
        assert states(sender.database) == {"accepted": 3, "due": 3}
        assert sender.database.transaction(resume_sending)
        sender.send_all()
        assert len(provider.kept) == 6


def test_a_reported_notice_is_not_sent_again(conninfo: str) -> None:
    """Any report of a notice shows that the provider has it."""
    provider = Mailbox()
    with sending(conninfo, provider) as sender:
        asked(sender.database, SIX[:1])
        [notice] = proven(sender.database)
        provider.answers = {UUID(notice["notice"]): "unknown"}
        sender.send_all()
        settle(sender.database, "at_least_once")
        assert states(sender.database) == {"due": 1}
        report = MailEvent(notice=notice["notice"], event="deferred", occurred_at=datetime.now(UTC))
        sender.database.transaction(
            lambda connection: record_mail_events(connection, [report], ADDRESS_HASH)
        )
        provider.answers.clear()
        sender.send_all()
        [notice] = proven(sender.database)
    assert not provider.kept
    assert notice["state"] == "accepted"
    assert [attempt["outcome"] for attempt in notice["attempts"]] == ["accepted"]


def test_a_claim_that_fails_leaves_no_result_unrecorded(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Perhaps no step follows: what left is not unknown to the next sender."""
    claim = Dispatcher._next  # noqa: SLF001 -- one claim, with its commit
    claims: list[Lane] = []

    def fail_after_one(dispatcher: Dispatcher, lane: Lane) -> Claim:
        claims.append(lane)
        if len(claims) > 1:
            raise ZeroDivisionError
        return claim(dispatcher, lane)

    monkeypatch.setattr(Dispatcher, "_next", fail_after_one)
    provider = Mailbox()
    with sending(conninfo, provider) as sender:
        asked(sender.database, SIX)
        with pytest.raises(ZeroDivisionError):
            sender.dispatcher.work()
        assert len(provider.kept) == 6
        assert states(sender.database) == {"accepted": 6}
        assert not outcomes(sender.database)[""]
