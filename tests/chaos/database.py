"""A PostgreSQL of the rounds' own, which may be killed and is there again soon."""

from __future__ import annotations

import os
import select
import signal
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg

from reconsent.adapters.embedded import EmbeddedUser, join
from reconsent.adapters.postgres import migrate
from tests.embedded_programs import postmaster_of, processes_in, wait_until


class Server:
    """The server of a folder."""

    def __init__(self, home: Path, user: EmbeddedUser) -> None:
        """Make the database that all others are copies of."""
        self._home = home
        self._user = user
        self._template = self._make("CREATE DATABASE {}")
        migrate(self._template)

    def make(self) -> str:
        """Make a database with every migration applied; return its conninfo."""
        name = psycopg.conninfo.conninfo_to_dict(self._template)["dbname"]
        return self._make(f"CREATE DATABASE {{}} TEMPLATE {name}")

    def drop(self, conninfo: str) -> None:
        """Drop a database."""
        name = psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"]
        self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def crash(self, how: signal.Signals) -> None:
        """Let it crash, or stop it for those who are connected as well, and start it again."""
        process = os.pidfd_open(postmaster_of(self._home))
        try:
            signal.pidfd_send_signal(process, how)
            select.select([process], [], [])
        finally:
            os.close(process)
        self._user.ensure()

    def _make(self, command: LiteralString) -> str:
        name = f"chaos_{uuid.uuid4().hex[:12]}"
        role = psycopg.conninfo.conninfo_to_dict(self._user.conninfo)["user"]
        self._do(f"{command.format(name)} OWNER {role}")
        # Also for processes that have none of our descriptors.
        host = str(self._home / "postgres" / "data")
        return psycopg.conninfo.make_conninfo(self._user.conninfo, dbname=name, host=host)

    def _do(self, command: str) -> None:
        admin = psycopg.conninfo.make_conninfo(
            self._user.conninfo, user="postgres", dbname="postgres"
        )
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(command.encode())


@contextmanager
def running_server() -> Iterator[Server]:
    """Run a server; nothing is left of it."""
    # A short path: a socket's may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        with join(Path(folder)) as user:
            yield Server(Path(folder), user)
        wait_until(lambda: not processes_in(Path(folder)))
