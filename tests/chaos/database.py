"""A separate PostgreSQL server for the rounds, which may crash and restart."""

from __future__ import annotations

import os
import select
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import LiteralString

import psycopg

from reconsent.embedded.user import EmbeddedUser, join
from reconsent.store.migrations import migrate
from tests.embedded_programs import postmaster_of, processes_in, wait_until
from tests.filled import KEPT_WHEN_EMPTIED


class Server:
    """The server of a folder."""

    def __init__(self, home: Path, user: EmbeddedUser) -> None:
        """Create the template of all other databases."""
        self._home = home
        self._user = user
        self._template = self._make("CREATE DATABASE {}")
        migrate(self._template)

    def make(self) -> str:
        """Create a database with every migration applied; return its conninfo."""
        name = psycopg.conninfo.conninfo_to_dict(self._template)["dbname"]
        return self._make(f"CREATE DATABASE {{}} TEMPLATE {name}")

    def make_empty(self) -> str:
        """Create a database without tables; return its conninfo."""
        return self._make("CREATE DATABASE {}")

    def empty(self, conninfo: str) -> None:
        """Empty the database for the next round; sets keep their ids."""
        admin = psycopg.conninfo.make_conninfo(conninfo, user="postgres")
        with psycopg.connect(admin) as connection:
            # Bypasses the triggers that reject changes to append-only tables.
            connection.execute("SET session_replication_role = replica")
            rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in rows.fetchall():
                if table not in KEPT_WHEN_EMPTIED:
                    name = psycopg.sql.Identifier(table)
                    connection.execute(psycopg.sql.SQL("DELETE FROM {}").format(name))

    def drop(self, conninfo: str) -> None:
        """Drop a database."""
        name = psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"]
        self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def crash(self, how: signal.Signals) -> None:
        """Stop it with a signal (SIGQUIT is a crash), then start it again."""
        with self.stopped(how):
            pass

    @contextmanager
    def stopped(self, how: signal.Signals = signal.SIGINT) -> Iterator[None]:
        """Stop it during the block."""
        process = os.pidfd_open(postmaster_of(self._home))
        try:
            signal.pidfd_send_signal(process, how)
            select.select([process], [], [])
            yield
        finally:
            os.close(process)
            self._user.ensure()

    @contextmanager
    def unanswered(self) -> Iterator[Callable[[Thread], None]]:
        """Make commits wait for a standby that does not exist.

        Yields a function that cuts waiting connections until the given thread has ended. Each
        of their transactions is committed, but the client never gets the confirmation.
        """
        self._do("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        self._do("SELECT pg_reload_conf()")
        try:
            self._wait_until_commits_wait()
            yield self._cut
        finally:
            self._do("ALTER SYSTEM RESET synchronous_standby_names")
            self._do("SELECT pg_reload_conf()")

    def _wait_until_commits_wait(self) -> None:
        """Wait until the setting is in effect: the server applies it some time after the reload."""
        name = "commit probe"

        def commit() -> None:
            with (
                suppress(psycopg.OperationalError),
                psycopg.connect(self._admin, autocommit=True, application_name=name) as connection,
            ):
                connection.execute("SELECT pg_logical_emit_message(true, 'probe', '')")

        waited = False
        while not waited:
            probe = Thread(target=commit)
            probe.start()
            while probe.is_alive() and not waited:
                waited = self._cut_waiting(name)
            probe.join()

    def _cut(self, working: Thread) -> None:
        def ended() -> bool:
            self._cut_waiting("%")
            return not working.is_alive()

        wait_until(ended)

    def _cut_waiting(self, application: str) -> bool:
        """Cut an application's connections that wait for the standby; True if there were any."""
        with psycopg.connect(self._admin, autocommit=True) as connection:
            found = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE wait_event = 'SyncRep' AND application_name LIKE %s",
                (application,),
            )
            return found.fetchone() is not None

    @property
    def _admin(self) -> str:
        return psycopg.conninfo.make_conninfo(
            self._user.conninfo, user="postgres", dbname="postgres"
        )

    def _make(self, command: LiteralString) -> str:
        name = f"chaos_{uuid.uuid4().hex[:12]}"
        role = psycopg.conninfo.conninfo_to_dict(self._user.conninfo)["user"]
        self._do(f"{command.format(name)} OWNER {role}")
        # The user's own host is a path in /proc/self/fd, which other processes cannot use.
        host = str(self._home / "postgres" / "data")
        return psycopg.conninfo.make_conninfo(self._user.conninfo, dbname=name, host=host)

    def _do(self, command: str) -> None:
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(command.encode())


@contextmanager
def running_server() -> Iterator[Server]:
    """Run a server, and remove it afterwards."""
    # A short path: a socket's path is limited to 107 bytes.
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        with join(Path(folder)) as user:
            yield Server(Path(folder), user)
        wait_until(lambda: not processes_in(Path(folder)))
