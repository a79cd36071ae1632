"""Senders that lose the database: what they know is not lost, and nobody takes them for dead."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Thread
from uuid import UUID

import pytest

from reconsent.domain.errors import OutsideError
from reconsent.domain.mail import Result
from reconsent.store.leases import Lease, SoleRight
from reconsent.store.postgres import Connection, connect, open_database
from tests.chaos.database import Server, running_server
from tests.chaos.people import asked
from tests.embedded_programs import wait_until
from tests.integration.senders import (
    SIX,
    Interrupted,
    most_often,
    outcomes,
    proven,
    sending,
    states,
)
from tests.integration.stage import Mailbox


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


def test_a_lease_that_cannot_be_taken_is_told_in_one_line(conninfo: str) -> None:
    """Whoever waits for a lease that somebody judges, and is cut off, tries again later."""
    told: list[OutsideError] = []
    with closing(Lease(conninfo, idle="500ms")) as lease, connect(conninfo) as judge:

        def renew() -> None:
            try:
                lease.renew()
            except OutsideError as error:
                told.append(error)

        taken = "SELECT pg_try_advisory_xact_lock(%s)"
        wait_until(lambda: judge.execute(taken, (lease.number,)).fetchall() == [(True,)])
        waiting = Thread(target=renew)
        waiting.start()
        cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        wait_until(lambda: judge.execute(f"{cut} AND NOT granted").fetchall())
        waiting.join()
        judge.rollback()
        assert [str(error).partition(":")[0] for error in told] == ["database"]
        lease.renew()
        assert _seen(conninfo, lease) == (True, False)


def test_connections_that_are_lost_together_are_replaced_together(conninfo: str) -> None:
    """After one has failed the next step has one that works, however many were lost."""
    with open_database(conninfo, size=6) as database:
        database.patience = 5.0
        with ExitStack() as opened:
            for _ in range(6):
                opened.enter_context(database.connection())

        def cut(connection: Connection) -> None:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() ORDER BY pid = pg_backend_pid()"
            )

        with pytest.raises(OutsideError):
            database.transaction(cut)
        one = database.transaction(lambda connection: connection.execute("SELECT 1").fetchall())
    assert one == [(1,)]


def _seen(conninfo: str, lease: Lease) -> tuple[bool, bool]:
    """Tell whether a lease is held, and whether somebody else could take it."""
    with connect(conninfo) as connection:
        held = lease.held(connection)
        taken = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (lease.number,))
        return held, bool(taken.fetchall()[0][0])


# ---------------------------------------------------------------------- the database is lost


@pytest.mark.parametrize("lost", ["the server", "the lease"])
def test_nobody_who_lives_is_taken_for_dead(
    own: Server, conninfo: str, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """A sender claims nothing before it holds its lease again: others leave its attempts alone."""
    monkeypatch.setattr("reconsent.workers.dispatcher.AT_MOST", 3)
    left_alone: list[bool] = []
    provider = Interrupted()
    with sending(conninfo, provider) as sender, sending(conninfo, Mailbox()) as other:
        asked(sender.database, SIX * 3)

        def look() -> None:
            other.look_after()
            left_alone.append("" in outcomes(other.database))

        lose = sender.lose_lease if lost == "the lease" else partial(own.crash, signal.SIGKILL)
        # By the third time everything was claimed after that.
        provider.meanwhile = [lose, lambda: None, look, look, look, look]
        sender.send_all()
        assert states(sender.database) == {"accepted": 18}
    assert left_alone == [True] * 4
    assert most_often(provider) == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_was_handed_over_is_not_forgotten(
    own: Server, conninfo: str, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    """Neither a claim nor a record that fails loses what the provider said meanwhile."""
    monkeypatch.setattr("reconsent.workers.dispatcher.AT_MOST", 3)
    provider = Interrupted(meanwhile=[partial(own.crash, how)] * 3)
    with sending(conninfo, provider) as sender:
        asked(sender.database, SIX * 2)
        sender.send_all()
        assert states(sender.database) == {"accepted": 12}
        # How many were claimed at a time is up to how quickly they left.
        assert all(outcome.startswith("accepted=") for outcome in outcomes(sender.database))
    assert most_often(provider) == 1


def test_a_claim_that_nobody_was_told_of_is_not_lost(own: Server, conninfo: str) -> None:
    """A sender whose claim was committed, though the answer never came, sends what it claimed."""
    provider = Mailbox()
    with sending(conninfo, provider) as sender:
        asked(sender.database, SIX)
        with own.unanswered() as cut:
            working = Thread(target=sender.fails)
            working.start()
            cut()
            working.join()
        assert states(sender.database) == {"attempting": 6}
        assert not provider.kept
        sender.send_all()
        assert states(sender.database) == {"accepted": 6}
        [first, *_] = proven(sender.database)
    assert [attempt["outcome"] for attempt in first["attempts"]] == ["retry", "accepted"]
    assert len(provider.kept) == 6


def test_a_record_that_nobody_was_told_of_is_made_once(own: Server, conninfo: str) -> None:
    """A sender that records the same again changes nothing."""
    later = Result("retry", "come back tomorrow", datetime.now(UTC) + timedelta(days=1))
    unanswered = ExitStack()
    provider = Interrupted()
    with sending(conninfo, provider) as sender, unanswered:
        asked(sender.database, SIX)
        first, *_ = proven(sender.database)
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
        assert states(sender.database) == {"accepted": 5, "due": 1}
        [first, *_] = proven(sender.database)
    assert [attempt["outcome"] for attempt in first["attempts"]] == ["retry"]
    assert most_often(provider) == 1
