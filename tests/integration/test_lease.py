"""Senders that lose the database, or are taken for dead: nothing that they know is lost."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from typing_extensions import override

from reconsent.adapters.postgres import (
    Connection,
    Lease,
    Pool,
    SoleRight,
    connect,
    pool,
    transaction,
)
from reconsent.adapters.signing import Signer
from reconsent.dispatcher import Dispatcher
from reconsent.domain.errors import OutsideError
from reconsent.domain.event import MailEvent
from reconsent.domain.mail import Delivery, Letter, Outcome, Recipient, Result
from reconsent.facts.cohorts import Cohorts
from reconsent.facts.evidence import with_evidence
from reconsent.facts.mail_events import record_mail_events
from reconsent.facts.notices_listing import Filters, list_notices
from reconsent.facts.versions import PublishedVersions
from reconsent.scheduler import Scheduler
from tests.chaos.database import Server, running_server
from tests.chaos.people import asked
from tests.embedded_programs import wait_until
from tests.integration.stage import SENDER, URL, Mailbox

Json = dict[str, Any]
NEVER = datetime.max.replace(tzinfo=UTC)
SIX = [f"p{number}@example.org" for number in range(6)]


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """Run a server that may crash."""
    with running_server() as made:
        yield made


@pytest.fixture
def conninfo(own: Server) -> Iterator[str]:
    """Give a database of that server."""
    made = own.make()
    yield made
    own.drop(made)


# ---------------------------------------------------------------------- the lease itself


def test_a_lease_is_lost_with_its_connection(own: Server, conninfo: str) -> None:
    """While it is held nobody else can take it; after a restart anybody, until it is renewed."""
    with closing(Lease(conninfo)) as lease:
        assert _seen(conninfo, lease) == (True, False)
        own.crash(signal.SIGKILL)
        assert _seen(conninfo, lease) == (False, True)
        lease.renew()
        assert _seen(conninfo, lease) == (True, False)


def test_who_is_stopped_for_long_loses_its_lease(conninfo: str) -> None:
    """Others take it for dead; when it goes on, it takes the lease again."""
    with closing(Lease(conninfo, idle="500ms")) as lease:
        wait_until(lambda: _seen(conninfo, lease) == (False, True))
        lease.renew()
        assert _seen(conninfo, lease) == (True, False)


def test_that_the_database_is_away_is_told_in_one_line(own: Server, conninfo: str) -> None:
    """To hold a lease or a right is tried again later: a fault outside, in one line."""
    right = SoleRight(conninfo, "a test")
    with closing(Lease(conninfo)) as lease, closing(right):
        assert right.take()
        with own.away():
            for need in (lease.renew, right.take):
                with pytest.raises(OutsideError, match=r"\Adatabase: .+\Z"):
                    need()
        lease.renew()
        assert _seen(conninfo, lease) == (True, False)
        assert right.take()


def test_connections_that_are_lost_together_are_replaced_together(conninfo: str) -> None:
    """After one has failed the next step has one that works, however many were lost."""
    with pool(conninfo, size=6) as connections:
        connections.timeout = 5.0
        with ExitStack() as opened:
            for _ in range(6):
                opened.enter_context(connections.connection())

        def cut(connection: Connection) -> None:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() ORDER BY pid = pg_backend_pid()"
            )

        with pytest.raises(OutsideError):
            transaction(connections, cut)
        one = transaction(connections, lambda connection: connection.execute("SELECT 1").fetchall())
    assert one == [(1,)]


def _seen(conninfo: str, lease: Lease) -> tuple[bool, bool]:
    """Tell whether a lease is held, and whether somebody else could take it."""
    with connect(conninfo) as connection:
        held = lease.held(connection)
        taken = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (lease.number,))
        return held, bool(taken.fetchall()[0][0])


# ---------------------------------------------------------------------- the database is lost


@dataclass(kw_only=True)
class Interrupted(Mailbox):
    """A provider during whose work something happens: the first time this, the second that."""

    meanwhile: list[Callable[[], object]] = field(default_factory=list)

    @override
    def send(self, letter: Letter, recipients: Sequence[Recipient]) -> Sequence[Result]:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return super().send(letter, recipients)


def test_a_restart_of_the_server_makes_nobody_dead(
    own: Server, conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender claims nothing before it holds its lease again: others leave its attempts alone."""
    monkeypatch.setattr("reconsent.dispatcher.AT_MOST", 3)
    left_alone: list[bool] = []
    provider = Interrupted()
    with _sender(conninfo, provider) as sender, _sender(conninfo, Mailbox()) as other:
        asked(sender.connections, SIX * 3)

        def look() -> None:
            other.look_after()
            left_alone.append("" in _outcomes(other.connections))

        # By the third time everything was claimed after the restart.
        restart = partial(own.crash, signal.SIGKILL)
        provider.meanwhile = [restart, lambda: None, look, look, look, look]
        sender.send_all()
        assert _states(sender.connections) == {"accepted": 18}
    assert left_alone == [True] * 4
    assert _most_often(provider) == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_was_handed_over_is_not_forgotten(
    own: Server, conninfo: str, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    """Neither a claim nor a record that fails loses what the provider said meanwhile."""
    monkeypatch.setattr("reconsent.dispatcher.AT_MOST", 3)
    provider = Interrupted(meanwhile=[partial(own.crash, how)] * 3)
    with _sender(conninfo, provider) as sender:
        asked(sender.connections, SIX * 2)
        sender.send_all()
        assert _states(sender.connections) == {"accepted": 12}
        assert _outcomes(sender.connections).keys() == {"accepted=3"}
    assert _most_often(provider) == 1


def test_a_claim_that_nobody_was_told_of_is_not_lost(own: Server, conninfo: str) -> None:
    """A sender whose claim was committed, though the answer never came, sends what it claimed."""
    provider = Mailbox()
    with _sender(conninfo, provider) as sender:
        asked(sender.connections, SIX)
        with own.unanswered() as cut:
            working = Thread(target=sender.fails)
            working.start()
            cut()
            working.join()
        assert _states(sender.connections) == {"attempting": 6}
        assert not provider.kept
        sender.send_all()
        assert _states(sender.connections) == {"accepted": 6}
        [first, *_] = _proven(sender.connections)
    assert [attempt["outcome"] for attempt in first["attempts"]] == ["retry", "accepted"]
    assert len(provider.kept) == 6


def test_a_record_that_nobody_was_told_of_is_made_once(own: Server, conninfo: str) -> None:
    """A sender that records the same again changes nothing."""
    later = Result("retry", "come back tomorrow", datetime.now(UTC) + timedelta(days=1))
    unanswered = ExitStack()
    provider = Interrupted()
    with _sender(conninfo, provider) as sender, unanswered:
        asked(sender.connections, SIX)
        first, *_ = _proven(sender.connections)
        provider.answers = {UUID(first["notice"]): later}
        cuts: list[Callable[[], None]] = []
        provider.meanwhile = [
            lambda: None,
            lambda: cuts.append(unanswered.enter_context(own.unanswered())),
        ]
        working = Thread(target=sender.fails)
        working.start()
        wait_until(lambda: cuts)
        cuts[0]()
        working.join()
        unanswered.close()
        sender.send_all()
        assert _states(sender.connections) == {"accepted": 5, "due": 1}
        [first, *_] = _proven(sender.connections)
    assert [attempt["outcome"] for attempt in first["attempts"]] == ["retry"]
    assert _most_often(provider) == 1


# ---------------------------------------------------------------------- taken for dead


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
def test_who_was_taken_for_dead_tells_what_it_knows(
    conninfo: str, delivery: Delivery, outcome: Outcome, state: str, shown: str
) -> None:
    """What it knows counts, also where time has settled it, as long as nobody sent it again."""
    provider = Interrupted()
    with _sender(conninfo, provider) as sender, _sender(conninfo, Mailbox()) as other:
        asked(sender.connections, SIX[:2])
        first, _ = _proven(sender.connections)
        provider.answers = {UUID(first["notice"]): outcome}

        def judge() -> None:
            sender.lose_lease()
            other.look_after()
            assert _states(other.connections) == {"unknown": 2}
            _settle(other.connections, delivery)
            provider.rests_until = NEVER

        provider.meanwhile = [judge]
        sender.send_all()
        first, second = _proven(sender.connections)
    assert first["state"] == state
    assert [attempt["outcome"] for attempt in first["attempts"]] == [shown]
    assert second["state"] == "accepted"


@pytest.mark.parametrize("delivery", ["at_most_once", "at_least_once"])
def test_who_is_stopped_before_it_hands_over_does_not_double(
    conninfo: str, delivery: Delivery
) -> None:
    """What was claimed and not begun is sent by somebody else, and not again by who goes on."""
    provider = Interrupted()
    others = Mailbox()
    with _sender(conninfo, provider) as sender, _sender(conninfo, others) as other:
        asked(sender.connections, SIX)

        def take_over() -> None:
            sender.lose_lease()
            other.look_after()
            _settle(other.connections, delivery)
            other.send_all()

        provider.meanwhile = [take_over]  # while the first three of six are handed over
        sender.send_all()
        proven = {notice["notice"]: notice for notice in _proven(sender.connections)}
    under_way = {to.notice for _, to in provider.kept}
    unknown = ["accepted"] if delivery == "at_most_once" else ["unknown", "accepted"]
    assert len(provider.kept) == 3
    assert len(others.kept) == (3 if delivery == "at_most_once" else 6)
    for name, notice in proven.items():
        outcomes = [attempt["outcome"] for attempt in notice["attempts"]]
        assert notice["state"] == "accepted"
        assert outcomes == (unknown if name in under_way else ["retry", "accepted"])


def test_what_is_reported_is_not_sent_again(conninfo: str) -> None:
    """Whatever is reported of a notice shows that the provider has it: it is not to be repeated."""
    provider = Mailbox()
    with _sender(conninfo, provider) as sender:
        asked(sender.connections, SIX[:1])
        [notice] = _proven(sender.connections)
        provider.answers = {UUID(notice["notice"]): "unknown"}
        sender.send_all()
        _settle(sender.connections, "at_least_once")
        assert _states(sender.connections) == {"due": 1}
        told = MailEvent(notice=notice["notice"], event="deferred", occurred_at=datetime.now(UTC))
        transaction(sender.connections, lambda connection: record_mail_events(connection, [told]))
        provider.answers.clear()
        sender.send_all()
        [notice] = _proven(sender.connections)
    assert not provider.kept
    assert notice["state"] == "accepted"
    assert [attempt["outcome"] for attempt in notice["attempts"]] == ["accepted"]


# ---------------------------------------------------------------------- senders


@dataclass(frozen=True, kw_only=True)
class Sender:
    """A dispatcher with connections and a lease of its own."""

    connections: Pool
    lease: Lease
    provider: Mailbox
    dispatcher: Dispatcher

    def work(self) -> bool:
        """Work for a while, and go on after a fault outside; True where there may be more."""
        try:
            return self.dispatcher.work()
        except OutsideError:
            return True

    def send_all(self) -> None:
        """Work until nothing is left to do."""
        while self.work():
            pass

    def fails(self) -> None:
        """Work, in spite of which something outside breaks."""
        with suppress(OutsideError):
            self.dispatcher.work()

    def look_after(self) -> None:
        """Look after the attempts of the dead, and claim nothing."""
        self.provider.rests_until = NEVER
        self.work()
        self.provider.rests_until = None

    def lose_lease(self) -> None:
        """Lose the lease as if it had been silent for too long."""
        with self.connections.connection() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks"
                " WHERE locktype = 'advisory' AND classid = %s AND objid = %s",
                (self.lease.number >> 32, self.lease.number % 2**32),
            )


@contextmanager
def _sender(conninfo: str, provider: Mailbox) -> Iterator[Sender]:
    with pool(conninfo, size=4) as connections, closing(Lease(conninfo)) as lease:
        dispatcher = Dispatcher(
            connections,
            lease,
            provider,
            Signer("secret of the tests"),
            public_url=URL,
            sender=SENDER,
            now=partial(datetime.now, UTC),
        )
        yield Sender(connections=connections, lease=lease, provider=provider, dispatcher=dispatcher)


def _settle(connections: Pool, delivery: Delivery) -> None:
    """Let it be late."""
    now = partial(datetime.now, UTC)
    scheduler = Scheduler(connections, now, delivery=delivery, settle_after=timedelta())
    while scheduler.work():
        pass


def _states(connections: Pool) -> Counter[str]:
    with connections.connection() as connection:
        return Counter(state for (state,) in connection.execute("SELECT state FROM notices"))


def _outcomes(connections: Pool) -> Counter[str]:
    """Count attempts by what became of them; nothing of those under way."""
    with connections.connection() as connection:
        rows = connection.execute(
            "SELECT CASE WHEN ended_at IS NULL THEN '' ELSE outcome END FROM attempts"
        )
        return Counter(outcome for (outcome,) in rows)


def _proven(connections: Pool) -> list[Json]:
    """Return notices with their evidence, as `reconsent notices --letters` prints them."""
    with connections.connection() as connection:
        policies = PublishedVersions().now(connection)
        listed = list_notices(connection, Cohorts(), policies, Filters())
        return list(with_evidence(connection, listed))


def _most_often(provider: Mailbox) -> int:
    """Tell how often a notice was mailed at most."""
    return max(Counter(to.notice for _, to in provider.kept).values())
