"""Locks by which processes show that they live, or that they alone do something."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import psycopg

from reconsent.domain.errors import OutsideError
from reconsent.store.postgres import connect, first_line, in_one_line

if TYPE_CHECKING:
    from reconsent.store.postgres import Connection

# A suspended process keeps a right to be the only one no longer than this.
_IDLE_RIGHT = "2min"
# Longer than any answer is waited for: a process silent for so long is suspended or cut off.
_IDLE_LEASE = "15min"


class Lease:
    """Proof that this process lives: a lock that the database releases when the process dies.

    A process that neither renews it nor claims anything for too long loses it: it is presumed dead.
    """

    def __init__(self, conninfo: str, *, idle: str = _IDLE_LEASE) -> None:
        """Take a new lease; it is lost when it has not been renewed for `idle`."""
        self._conninfo = conninfo
        self._idle = idle
        self.number = secrets.randbits(62)
        self._connection = self._taken()

    def renew(self) -> None:
        """Take the same lease again where the connection that held it is gone."""
        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            self._connection.close()
            self._connection = self._taken()

    def held(self, connection: Connection) -> bool:
        """Tell whether the lease is held now, as the server of another connection sees it."""
        [(held,)] = connection.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
            " AND granted AND pid = %s AND classid = %s AND objid = %s)",
            (self._connection.info.backend_pid, self.number >> 32, self.number % 2**32),
        ).fetchall()
        return bool(held)

    def _taken(self) -> Connection:
        made = connect(self._conninfo, autocommit=True)
        try:
            with in_one_line():
                made.execute("SELECT set_config('idle_session_timeout', %s, false)", (self._idle,))
                made.execute("SELECT pg_advisory_lock(%s)", (self.number,))
        except OutsideError:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Give the lease up."""
        self._connection.close()


class SoleRight:
    """The right to be the only process that does something, for as long as its connection lives.

    A process that is silent for too long loses it without noticing, so whatever is done under this
    right must be fenced as well.
    """

    def __init__(self, conninfo: str, name: str) -> None:
        """Name what is to be done by one at a time; the right is not taken yet."""
        self._conninfo = conninfo
        self._name = f"reconsent.{name}"
        self._connection: Connection | None = None

    def take(self) -> bool:
        """Take the right, or keep it; False while somebody else has it."""
        try:
            if self._connection is None:
                self._connection = self._taken()
            else:
                self._connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            self.close()
            raise OutsideError(f"database: {first_line(error)}") from error
        return self._connection is not None

    def _taken(self) -> Connection | None:
        """Return a connection that has the right; None where another one has it."""
        made = connect(self._conninfo, autocommit=True)
        try:
            made.execute("SELECT set_config('idle_session_timeout', %s, false)", (_IDLE_RIGHT,))
            lock = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
            if made.execute(lock, (self._name,)).fetchall()[0][0]:
                return made
        except psycopg.OperationalError:
            made.close()
            raise
        made.close()
        return None

    def close(self) -> None:
        """Give the right up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
