"""The embedded PostgreSQL: shared by its users, stopped with the last, whatever is killed."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from reconsent.embedded.user import join
from tests.embedded_programs import (
    GIVE_UP_SECONDS,
    STARTED_AT,
    command,
    joined,
    kill_all,
    postmaster_of,
    processes_in,
    program,
    supervisor_of,
    surroundings,
    wait_until,
    wait_until_stopped,
)

NOBODY = 65534


def test_a_user_is_a_plain_role_that_owns_a_durable_database(fresh: Path) -> None:
    """A user may only create tables, and what is committed is on disk."""
    with join(fresh) as user, psycopg.connect(user.conninfo) as connection:
        connection.execute("create table kept (n int)")
        settings = connection.execute(
            "select rolsuper or rolcreaterole or rolcreatedb, current_setting('fsync'),"
            " current_setting('synchronous_commit'), current_setting('listen_addresses'),"
            " current_setting('server_encoding'), lower('ÆØÅ')"
            " from pg_roles where rolname = current_user"
        ).fetchone()
    assert settings == (False, "on", "on", "", "UTF8", "æøå")


@pytest.mark.parametrize("killed", [False, True])
def test_the_server_is_shared_and_ends_with_its_last_user(home: Path, *, killed: bool) -> None:
    """All users share one server; it outlives the first and ends with the last; data remains."""
    with joined(home) as first:
        first.ask("create table kept (n int)")
        with joined(home) as second:
            second.ask("insert into kept values (7)")
            server = second.ask(STARTED_AT)
            assert first.ask(STARTED_AT) == server
            first.kill() if killed else first.end()
            assert second.ask(STARTED_AT) == server
            second.kill() if killed else second.end()
            wait_until_stopped(home)
    with joined(home) as later:
        assert later.ask("select n from kept") == [7]
        assert later.ask(STARTED_AT) != server


def test_concurrent_users_share_one_server(fresh: Path) -> None:
    """Eight users that start at once in a new home share one server."""
    with ExitStack() as stack:
        users = [stack.enter_context(program(fresh)) for _ in range(8)]
        assert [user.reply() for user in users] == ["joined"] * 8
        assert len({user.ask(STARTED_AT)[0] for user in users}) == 1


def test_a_killed_server_is_started_again(home: Path) -> None:
    """After a kill -9 of the postmaster users only have to reconnect; nothing is lost."""
    with joined(home) as user, join(home) as own:
        user.ask("create table kept as select 7 as n")
        server = user.ask(STARTED_AT)
        os.kill(postmaster_of(home), signal.SIGKILL)

        def is_back() -> bool:
            try:
                with psycopg.connect(own.conninfo) as connection:
                    found = connection.execute(STARTED_AT).fetchone()
            except psycopg.OperationalError:
                return False
            return found != tuple(server)

        wait_until(is_back)
        assert user.ask("select n from kept") == [7]


def test_a_killed_supervisor_leaves_nothing_behind_and_can_be_replaced(home: Path) -> None:
    """After a kill -9 of the supervisor the server ends; any user, new or old, starts it."""
    with joined(home) as user:
        user.ask("create table kept as select 7 as n")
        os.kill(supervisor_of(home), signal.SIGKILL)
        wait_until(lambda: processes_in(home) == {user.process.pid})
        with joined(home) as newcomer:
            assert newcomer.ask("select n from kept") == [7]
        os.kill(supervisor_of(home), signal.SIGKILL)
        wait_until(lambda: processes_in(home) == {user.process.pid})
        assert user.ask("ensure") == "ensured"
        assert user.ask("select n from kept") == [7]


def test_everything_killed_at_once_can_be_started_again(home: Path) -> None:
    """After a kill -9 of users, supervisor and server at once, no data is lost."""
    with joined(home) as user:
        user.ask("create table kept as select 7 as n")
        kill_all(processes_in(home))
    with joined(home) as later:
        assert later.ask("select n from kept") == [7]


def test_an_interrupted_first_start_is_completed(fresh: Path) -> None:
    """If the first user is killed while it creates the database, the next one creates it."""
    while not _interrupted(fresh):  # it had created it before it was killed
        shutil.rmtree(fresh)
    with joined(fresh) as later:
        assert later.ask("select current_user") == ["reconsent"]


def _interrupted(home: Path) -> bool:
    """Kill the first user while it creates the database; False if it was faster."""
    with program(home) as user:
        wait_until(lambda: any((home / "postgres").glob("data*/global")))
        kill_all(processes_in(home))
        user.process.wait(GIVE_UP_SECONDS)
    wait_until(lambda: not processes_in(home))
    return not (home / "postgres" / "data").exists()


@pytest.mark.slow
def test_many_short_programs_lose_nothing(home: Path) -> None:
    """Many short programs, every second one killed, all join and keep what they committed."""
    with joined(home) as user:
        user.ask("create table kept (n int primary key)")
    for round_ in range(10):
        with ExitStack() as stack:
            users = [stack.enter_context(joined(home)) for _ in range(1 + round_ % 2)]
            for user in users:
                user.ask("insert into kept select coalesce(max(n), 0) + 1 from kept")
            for n, user in enumerate(users):
                user.kill() if (round_ + n) % 2 else user.end()
    with joined(home) as later:
        assert later.ask("select count(*) from kept") == [15]


def test_modes_of_other_folders_do_not_change(tmp_path: Path, fresh: Path) -> None:
    """It works below a root-only folder and with long paths, and changes no mode."""
    closed, deep = tmp_path / "closed", tmp_path / "closed" / ("d" * 100)
    deep.mkdir(parents=True)
    for folder, mode in ((closed, 0o700), (deep, 0o711)):
        folder.chmod(mode)
    above = [deep, *deep.parents]
    before = [(place.stat().st_mode, place.stat().st_uid) for place in above]
    with joined(deep / fresh.name) as user:
        assert user.ask("select current_user") == ["reconsent"]
        assert [(place.stat().st_mode, place.stat().st_uid) for place in above] == before
        made = deep / fresh.name / "postgres"
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_environment_variables_of_libpq_are_ignored(home: Path) -> None:
    """PGHOST and the like do not redirect a user."""
    astray = {"PGHOSTADDR": "192.0.2.1", "PGPORT": "1", "PGUSER": "x", "PGDATA": "/"}
    with joined(home, env=surroundings(**astray, PGSSLMODE="verify-full")) as user:
        assert user.ask("select current_user, current_database()") == ["reconsent", "reconsent"]


def runs_for(uid: int, interpreter: str) -> bool:
    """Tell whether a user may run an interpreter with the libraries of this one."""
    question = f"import sys, psycopg; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    asked = [interpreter, "-c", question]
    try:
        subprocess.run(asked, user=uid, env=surroundings(), cwd="/", check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("uid", [NOBODY, 54321], ids=["nobody", "a number without a name"])
def test_an_ordinary_user_has_its_own_server(uid: int) -> None:
    """A user other than root has its own server, which runs as that user."""
    interpreters = [sys.executable, shutil.which("python3", path="/usr/bin") or sys.executable]
    interpreter = next((found for found in interpreters if runs_for(uid, found)), None)
    if interpreter is None:
        pytest.skip("no interpreter that an ordinary user may run")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chown(folder, uid, uid)
        home = Path(folder) / "home"
        them = {"user": uid, "group": uid, "extra_groups": []}
        with joined(home, args=command(home, interpreter), **them) as user:
            assert user.ask("select current_user") == ["reconsent"]
            assert Path(f"/proc/{postmaster_of(home)}").stat().st_uid == uid
            with joined(home) as root:  # root may join as well, and changes no owner
                assert root.ask(STARTED_AT) == user.ask(STARTED_AT)
            user.end()
        wait_until_stopped(home)
        with joined(home) as root:
            assert root.ask("select current_user") == ["reconsent"]
        wait_until_stopped(home)
        with joined(home, args=command(home, interpreter), **them) as user:
            assert user.ask("select current_user") == ["reconsent"]
        wait_until_stopped(home)
