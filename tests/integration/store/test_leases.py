"""Leases: who may take one, and when it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from reconsent.domain.errors import OutsideError
from reconsent.store.leases import Lease, SoleRight
from reconsent.store.postgres import connect
from tests.embedded_programs import wait_until

# Takes a right for an hour, says so, and waits.
_HOLDER = """
import sys
from reconsent.store.leases import SoleRight
right = SoleRight(sys.argv[1], "test", idle="1h")
print(right.take(), flush=True)
sys.stdin.read()
"""
_LIVE = "SELECT is_live(until, node, pid, backend_start) FROM leases WHERE name = 'test'"
_DEAD = (
    "INSERT INTO leases (name, holder, node, pid, backend_start, until)"
    " SELECT 'test', gen_random_uuid(), system_identifier, 0, now(), now() + interval '1 hour'"
    " FROM pg_control_system()"
)
_WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
_LAPSE = "UPDATE leases SET until = clock_timestamp() WHERE name = 'test'"
_ELSEWHERE = "UPDATE leases SET node = node + 1, pid = 1 WHERE name = 'test'"


@pytest.fixture
def right(conninfo: str) -> Iterator[Callable[[], SoleRight]]:
    """Return a function that makes one more process's right to the same thing."""
    made: list[SoleRight] = []

    def make() -> SoleRight:
        made.append(SoleRight(conninfo, "test", idle="1h"))
        return made[-1]

    yield make
    for one in made:
        one.close()


@contextmanager
def _holding(conninfo: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that has the right."""
    host = Path(str(conninfo_to_dict(conninfo)["host"]))
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, conninfo],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # The embedded server's folder is named by its descriptor.
        pass_fds=[int(host.name)] if host.parent == Path("/proc/self/fd") else [],
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        yield holder
        holder.kill()


def _run(conninfo: str, statement: str) -> list[tuple[object, ...]]:
    """Run a statement; return its rows."""
    with connect(conninfo) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_a_killed_process_frees_its_lease_at_once(
    conninfo: str, right: Callable[[], SoleRight]
) -> None:
    """Its session ends with it, however long the lease would have lasted."""
    other = right()
    with _holding(conninfo) as holder:
        assert not other.take()
        holder.kill()
        holder.wait()
        wait_until(other.take)


def test_a_suspended_process_keeps_its_lease_until_its_time_has_passed(
    conninfo: str, right: Callable[[], SoleRight]
) -> None:
    """Its session is still there, and says nothing about it."""
    other = right()
    with _holding(conninfo) as holder:
        holder.send_signal(signal.SIGSTOP)
        assert not other.take()
        _run(conninfo, _LAPSE)
        assert other.take()


def test_who_has_lost_a_right_is_told(conninfo: str, right: Callable[[], SoleRight]) -> None:
    """The next time it takes the right, an outside error says who has it; then it waits again."""
    first, second = right(), right()
    assert first.take()
    _run(conninfo, _LAPSE)
    assert second.take()
    with pytest.raises(OutsideError, match=r"^database: another process is now the test$"):
        first.take()
    assert not first.take()
    second.close()
    assert first.take()


def test_a_right_that_nobody_else_took_is_kept(
    conninfo: str, right: Callable[[], SoleRight]
) -> None:
    """A process that was suspended goes on, also where its row was deleted meanwhile."""
    first, second = right(), right()
    assert first.take()
    _run(conninfo, _LAPSE)
    assert first.take()
    assert not second.take()
    _run(conninfo, _LAPSE)
    with closing(Lease(conninfo)):  # deletes leases that have ended
        assert _run(conninfo, _LIVE) == []
    assert first.take()
    assert not second.take()


@pytest.mark.parametrize("before", ["nothing", "a lease of a dead process"])
def test_of_several_that_take_a_lease_at_once_one_gets_it(
    conninfo: str, right: Callable[[], SoleRight], before: str
) -> None:
    """Also where all of them saw that it was free."""
    taken: list[bool] = []
    threads = [
        Thread(target=lambda one: taken.append(one.take()), args=(right(),)) for _ in "12345"
    ]
    if before == "a lease of a dead process":
        _run(conninfo, _DEAD)
    with connect(conninfo) as other:
        other.execute("SELECT FROM leases WHERE name = 'test' FOR UPDATE")
        for thread in threads:
            thread.start()
        if before == "a lease of a dead process":
            wait_until(lambda: _run(conninfo, _WAITING) == [(5,)])
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 4 + [True]


def test_a_lease_of_another_node_lasts_until_its_time_has_passed(
    conninfo: str, right: Callable[[], SoleRight]
) -> None:
    """Nobody here can tell whether a session there still runs."""
    first, second = right(), right()
    assert first.take()
    _run(conninfo, _ELSEWHERE)
    assert not second.take()
    _run(conninfo, _LAPSE)
    assert second.take()


def test_a_holder_that_connects_to_another_node_keeps_its_lease(conninfo: str) -> None:
    """What it took over an earlier connection is its own, though nobody sees that it has ended."""
    with closing(Lease(conninfo)) as lease:
        _run(conninfo, "UPDATE leases SET node = node + 1 WHERE holder IS NOT NULL")
        _run(conninfo, "SELECT pg_terminate_backend(pid, 10000) FROM leases WHERE pid > 0")
        lease.renew()
        here = "SELECT node = system_identifier FROM leases, pg_control_system() WHERE pid > 0"
        assert _run(conninfo, here) == [(True,)]


def test_a_lease_of_another_role_lasts_as_long_as_its_process(
    conninfo: str, right: Callable[[], SoleRight]
) -> None:
    """The start of its session is hidden, so a session of the same number is taken for it."""
    admin = make_conninfo(conninfo, user="postgres")
    other, holder = right(), SoleRight(admin, "test", idle="1h")
    hidden = "SELECT seen.backend_start FROM pg_stat_activity AS seen JOIN leases USING (pid)"
    assert holder.take()
    assert not other.take()
    assert _run(conninfo, hidden) == [(None,)]
    _run(admin, "SELECT pg_terminate_backend(pid, 10000) FROM leases WHERE name = 'test'")
    assert other.take()
    holder.close()


def test_a_session_that_began_in_the_meantime_is_seen(conninfo: str) -> None:
    """A transaction that has looked at the sessions before does not take a new one for dead."""
    with connect(conninfo) as connection:
        connection.execute("SELECT FROM pg_stat_activity")
        with closing(Lease(conninfo)) as lease:
            assert lease.held(connection)
        assert not lease.held(connection)


def test_leases_are_extended_now_and_then(conninfo: str, right: Callable[[], SoleRight]) -> None:
    """A process that does nothing else writes rarely, and always before the lease ends."""
    version = "SELECT ctid, until > clock_timestamp() + interval '50 min' FROM leases WHERE pid > 0"
    holder = right()
    assert holder.take()
    before = _run(conninfo, version)
    assert holder.take()
    assert _run(conninfo, version) == before
    _run(conninfo, "UPDATE leases SET until = until - interval '20 min' WHERE pid > 0")
    assert holder.take()
    assert _run(conninfo, version.replace("ctid, ", "")) == [(True,)]
