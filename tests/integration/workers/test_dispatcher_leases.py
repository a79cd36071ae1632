"""Senders that lose the database keep their results, and are not presumed dead."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event, Lock, Thread
from uuid import UUID

import pytest

from reconsent.domain.errors import OutsideError
from reconsent.domain.mail import Result
from reconsent.facts.sending.claims import Claim
from reconsent.facts.sending.due import Lane
from reconsent.store.leases import Lease, SoleRight
from reconsent.store.postgres import Connection, connect, open_database
from reconsent.workers.dispatcher import Dispatcher
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
    """Return a database of that server."""
    made = own.make()
    yield made
    own.drop(made)


# ---------------------------------------------------------------------- the lease itself


def test_a_lease_is_lost_with_its_connection(own: Server, conninfo: str) -> None:
    """A sender that holds it lives; after a restart it is presumed dead until it renews it."""
    with closing(Lease(conninfo)) as lease:
        assert _seen(conninfo, lease) == (True, False)
        own.crash(signal.SIGKILL)
        assert _seen(conninfo, lease) == (False, True)
        lease.renew()
        assert _seen(conninfo, lease) == (True, False)


def test_a_suspended_sender_loses_its_lease(conninfo: str) -> None:
    """It is presumed dead; when it resumes, it acquires its lease again."""
    with closing(Lease(conninfo, idle="500ms")) as lease:
        wait_until(lambda: _seen(conninfo, lease) == (False, True))
        lease.renew()
        assert _seen(conninfo, lease) == (True, False)


def test_an_unavailable_database_is_reported_in_one_line(own: Server, conninfo: str) -> None:
    """Acquiring a lease or a lock without the database is an outside error, in one line."""
    right = SoleRight(conninfo, "a test")
    with closing(Lease(conninfo)) as lease, closing(right):
        assert right.take()
        with own.stopped():
            for need in (lease.renew, right.take):
                with pytest.raises(OutsideError, match=r"\Adatabase: .+\Z"):
                    need()
        lease.renew()
        assert _seen(conninfo, lease) == (True, False)
        assert right.take()


def test_a_lease_that_cannot_be_acquired_is_reported_in_one_line(conninfo: str) -> None:
    """A sender cut off while it waits for its row gets an outside error."""
    errors: list[OutsideError] = []
    with closing(Lease(conninfo)) as lease, connect(conninfo) as other:

        def renew() -> None:
            try:
                lease.renew()
            except OutsideError as error:
                errors.append(error)

        locked = "SELECT pg_terminate_backend(pid, 10000) FROM leases WHERE name = %s FOR UPDATE"
        assert other.execute(locked, (_name(lease),)).fetchall() == [(True,)]
        waiting = Thread(target=renew)
        waiting.start()
        cut = (
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE locktype = 'transactionid' AND NOT granted"
        )
        wait_until(lambda: other.execute(cut).fetchall())
        waiting.join()
        other.rollback()
        assert [str(error).partition(":")[0] for error in errors] == ["database"]
        lease.renew()
        assert _seen(conninfo, lease) == (True, False)


def test_connections_that_are_lost_together_are_replaced_together(conninfo: str) -> None:
    """After one failure the next step has a working connection, however many were lost."""
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
    """Return whether a lease is held, and whether others would presume its sender dead."""
    with connect(conninfo) as connection:
        held = lease.held(connection)
        live = connection.execute(
            "SELECT FROM leases WHERE name = %s AND is_live(until, node, pid, backend_start)",
            (_name(lease),),
        )
        return held, not live.fetchall()


def _name(lease: Lease) -> str:
    return f"sender {lease.number}"


# ---------------------------------------------------------------------- the database is lost


@pytest.mark.parametrize("lost", ["the server", "the lease"])
def test_no_live_sender_is_presumed_dead(
    own: Server, conninfo: str, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """A sender without its lease claims nothing, so its attempts are not recovered."""
    monkeypatch.setattr("reconsent.workers.dispatcher.AT_MOST", 3)
    left_alone: list[bool] = []
    provider = Interrupted()
    with sending(conninfo, provider) as sender, sending(conninfo, Mailbox()) as other:
        asked(sender.database, SIX * 3)

        def look() -> None:
            other.look_after()
            left_alone.append("" in outcomes(other.database))

        lose = sender.lose_lease if lost == "the lease" else partial(own.crash, signal.SIGKILL)
        # By the third time everything claimed since then is under the new lease.
        provider.meanwhile = [lose, lambda: None, look, look, look, look]
        sender.send_all()
        assert states(sender.database) == {"accepted": 18}
    assert left_alone == [True] * 4
    assert most_often(provider) == 1


def _claiming_alone(claiming: Lock, blocked: Event) -> Callable[[Dispatcher, Lane], Claim]:
    """Return a claim that nothing else happens beside; the second waits until it is blocked."""
    first = Event()
    claim = Dispatcher._next  # noqa: SLF001 -- one claim, with its commit

    def claim_alone(dispatcher: Dispatcher, lane: Lane) -> Claim:
        if first.is_set():
            blocked.wait()
        first.set()
        with claiming:
            return claim(dispatcher, lane)

    return claim_alone


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_outcomes_of_the_provider_are_not_lost(
    own: Server, conninfo: str, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    """Neither a failed claim nor a failed record loses the provider's results.

    No crash hits the commit of a claim, whose reply it might lose.
    """
    monkeypatch.setattr("reconsent.workers.dispatcher.AT_MOST", 3)
    # The first mails are handed over while the next are claimed, however long it takes.
    monkeypatch.setattr("reconsent.workers.pump._LONGEST_STEP", 600.0)
    claiming, blocked = Lock(), Event()
    monkeypatch.setattr(Dispatcher, "_next", _claiming_alone(claiming, blocked))

    def crash_in_a_claim() -> None:
        with closing(connect(conninfo)) as other:
            other.execute("LOCK TABLE policies IN EXCLUSIVE MODE")
            blocked.set()
            waiting = "SELECT FROM pg_locks WHERE relation = 'policies'::regclass AND NOT granted"
            wait_until(lambda: other.execute(waiting).fetchall())
            own.crash(how)

    def crash_between_claims() -> None:
        with claiming:
            own.crash(how)

    provider = Interrupted(meanwhile=[crash_in_a_claim, *[crash_between_claims] * 2])
    with sending(conninfo, provider) as sender:
        asked(sender.database, SIX * 2)
        sender.send_all()
        assert states(sender.database) == {"accepted": 12}
        # The size of a claim depends on the speed of sending.
        assert all(outcome.startswith("accepted=") for outcome in outcomes(sender.database))
    assert most_often(provider) == 1


def test_a_claim_with_a_lost_commit_reply_is_sent(own: Server, conninfo: str) -> None:
    """A sender whose claim was committed, though the reply was lost, sends what it claimed."""
    provider = Mailbox()
    with sending(conninfo, provider) as sender:
        asked(sender.database, SIX)
        with own.unanswered() as cut:
            working = Thread(target=sender.fails)
            working.start()
            cut(working)
        assert states(sender.database) == {"attempting": 6}
        assert not provider.kept
        sender.send_all()
        assert states(sender.database) == {"accepted": 6}
        [first, *_] = proven(sender.database)
    assert [attempt["outcome"] for attempt in first["attempts"]] == ["retry", "accepted"]
    assert len(provider.kept) == 6


def test_a_record_with_a_lost_commit_reply_is_made_once(own: Server, conninfo: str) -> None:
    """Recording the same results again changes nothing."""
    later = Result("retry", "come back tomorrow", datetime.now(UTC) + timedelta(days=1))
    unanswered = ExitStack()
    provider = Interrupted()
    with sending(conninfo, provider) as sender, unanswered:
        asked(sender.database, SIX)
        first, *_ = proven(sender.database)
        provider.answers = {UUID(first["notice"]): later}
        cuts: list[Callable[[Thread], None]] = []
        provider.meanwhile = [
            lambda: None,
            lambda: cuts.append(unanswered.enter_context(own.unanswered())),
        ]
        working = Thread(target=sender.fails)
        working.start()
        wait_until(lambda: cuts)
        cuts[0](working)
        unanswered.close()
        sender.send_all()
        assert states(sender.database) == {"accepted": 5, "due": 1}
        [first, *_] = proven(sender.database)
    assert [attempt["outcome"] for attempt in first["attempts"]] == ["retry"]
    assert most_often(provider) == 1


# ------------------------------------------------------------------------ several claims at once


def test_claims_at_once_send_each_notice_once(conninfo: str) -> None:
    """Also where the provider fails meanwhile: what was not handed over is due again."""
    provider = Interrupted()

    def fail() -> None:
        raise OutsideError("nobody answers")

    with sending(conninfo, provider) as sender:
        asked(sender.database, [f"p{number}@example.org" for number in range(400)], letters=4)
        provider.meanwhile = [lambda: None, fail]
        sender.fails()
        sent = len(provider.kept)
        assert 0 < sent < 400
        assert states(sender.database) == {"accepted": sent, "due": 400 - sent}
        sender.send_all()
        assert states(sender.database) == {"accepted": 400}
        assert len(provider.kept) == 400
        assert most_often(provider) == 1
        assert not outcomes(sender.database)[""]
