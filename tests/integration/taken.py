"""A database that can be taken away, and programs that have used it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from reconsent.config import settings
from reconsent.program import Program
from tests.stand_ins.sendgrid_webhook import Signing

SECRET: Final = "secret of the tests"
TOKEN: Final = "token of the tests"
SIGNING: Final = Signing()
_STARTING = """
SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND datid IS NULL
"""


_END = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s"

_PATIENCE: Final = 0.2
"""Seconds to wait for a connection."""


class Taken:
    """A database that can be taken away and given back."""

    def __init__(self, conninfo: str, server: str) -> None:
        self.conninfo = conninfo
        self._name = str(psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"])
        self._admin = psycopg.conninfo.make_conninfo(server, user="postgres", dbname="postgres")

    def take_away(self) -> None:
        """End every connection and refuse new ones."""
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(self._allow("false"))
            # One that is just starting may have been let in already, and has no database yet.
            while (
                connection.execute(_STARTING).rowcount
                + connection.execute(_END, (self._name,)).rowcount
            ):
                pass

    def give_back(self) -> None:
        """Allow connections again."""
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(self._allow("true"))

    @contextmanager
    def away(self) -> Iterator[None]:
        """Take it away while the block runs."""
        self.take_away()
        try:
            yield
        finally:
            self.give_back()

    def _allow(self, allowed: str) -> psycopg.sql.Composed:
        command = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        return command.format(Identifier(self._name), SQL(allowed))


@contextmanager
def environment(
    taken: Taken,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[None]:
    """Let programs of the block use a database, and handle signals as they want."""
    for name, value in {
        "RECONSENT_HOME": str(tmp_path),
        "DATABASE_URL": taken.conninfo,
        "RECONSENT_SECRET": SECRET,
        "RECONSENT_API_TOKEN": TOKEN,
        "RECONSENT_LISTEN": "127.0.0.1:0",
        "SENDGRID_WEBHOOK_KEY": SIGNING.public_key,
    }.items():
        monkeypatch.setenv(name, value)
    # People wait for a connection no longer than the services here do.
    monkeypatch.setattr("reconsent.program._PATIENCE_OF_PEOPLE", _PATIENCE)
    caplog.set_level(logging.INFO)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextmanager
def opened() -> Iterator[Program]:
    """Yield a program that has used its database, with a short pool timeout."""
    with Program(settings()) as program:
        program.database.patience = _PATIENCE
        # The pool connects in the background. A connection that is only just being made could
        # still get in while the others are cut.
        program.database.transaction(lambda connection: connection.execute("SELECT"))
        yield program
