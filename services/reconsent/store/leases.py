"""Leases, by which processes show that they live, or that they alone do something.

A lease is a row. It ends when its time has passed, or when its session has ended, which only the
node can see that the session is connected to.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid4

import psycopg

from reconsent.domain.errors import OutsideError
from reconsent.store.named import named
from reconsent.store.postgres import FAILURES, connect, first_line, in_one_line
from reconsent.store.rows import all_rows, one_row, values

if TYPE_CHECKING:
    from datetime import datetime

    from reconsent.store.postgres import Connection

SQL = named("leases")
# A suspended process keeps a right to be the only one no longer than this, in PostgreSQL's words.
_IDLE_RIGHT = "2min"
# Longer than any answer is waited for: a process silent for so long is suspended or cut off.
_IDLE_LEASE = "15min"


class _Session(NamedTuple):
    """A session, as all nodes can tell it from others."""

    node: int
    pid: int
    backend_start: datetime


class _Held(NamedTuple):
    """A lease of one's own; `lasts` tells that it need not be extended yet."""

    name: str
    lasts: bool


class _Seen(NamedTuple):
    """A lease that somebody has, or had until it ended."""

    holder: UUID
    until: datetime
    live: bool


class Leases:
    """The leases that one holder has taken over one connection, which is in autocommit mode.

    Errors of the database are raised as they are.
    """

    def __init__(self, connection: Connection, lasting: str, holder: UUID | None = None) -> None:
        """Take leases that last for some time, in PostgreSQL's words, after each renewal.

        A holder that connects again takes its own leases, also where its earlier session seems to
        be alive.
        """
        self._connection = connection
        [session] = all_rows(connection, _Session, SQL["session"])
        self._mine = session._asdict() | {"holder": holder or uuid4(), "lasting": lasting}
        self._taken: set[str] = set()
        connection.execute(SQL["sweep"])

    def take(self, name: str) -> bool:
        """Take a lease, or keep it; False while somebody else has it."""
        if name in self._taken and name in self.renew():
            return True
        lease = self._mine | {"name": name}
        seen = one_row(self._connection, _Seen, SQL["look"], lease)
        if seen is None:
            taken = self._connection.execute(SQL["take"], lease)
        elif seen.live and seen.holder != self._mine["holder"]:
            return False
        else:
            lease |= {"seen_holder": seen.holder, "seen_until": seen.until}
            taken = self._connection.execute(SQL["take_over"], lease)
        if taken.rowcount:
            self._taken.add(name)
        return taken.rowcount > 0

    def renew(self) -> set[str]:
        """Keep all leases; return the names of those that nobody else has taken meanwhile."""
        held = all_rows(self._connection, _Held, SQL["held"], self._mine)
        # Extended now and then only, so that an idle process does not write.
        if len(held) >= len(self._taken) and all(lease.lasts for lease in held):
            return {lease.name for lease in held}
        return set(values(self._connection, SQL["extend"], self._mine))

    def live(self, words: str) -> set[str]:
        """Return the names of leases that anybody holds, of those that begin with some words."""
        return set(values(self._connection, SQL["live"], {"words": words}))

    def release(self, name: str) -> None:
        """Give up one lease."""
        self._connection.execute(SQL["release"], self._mine | {"name": name})
        self._taken.discard(name)

    def close(self) -> None:
        """Give up all leases, and close the connection."""
        with suppress(psycopg.Error):  # others see that the session has ended
            self._connection.execute(SQL["release_all"], self._mine)
        self._connection.close()


def _connected(conninfo: str, lasting: str, holder: UUID) -> Leases:
    """Open a connection for the leases of a holder."""
    made = connect(conninfo, autocommit=True)
    try:
        return Leases(made, lasting, holder)
    except FAILURES:
        made.close()
        raise


class Lease:
    """Proof that this process lives: a lease that ends when the process dies.

    A process that neither renews it nor claims anything for too long loses it: it is presumed dead.
    """

    def __init__(self, conninfo: str, *, idle: str = _IDLE_LEASE) -> None:
        """Take a new lease; it is lost when it has not been renewed for `idle`."""
        self._conninfo = conninfo
        self._idle = idle
        self.number = secrets.randbits(62)
        self._name = f"sender {self.number}"
        self._holder = uuid4()
        self._leases = self._taken()

    def renew(self) -> None:
        """Extend the lease; take it again where it was lost, or its connection is gone."""
        try:
            self._leases.take(self._name)
        except psycopg.OperationalError:
            self._leases.close()
            self._leases = self._taken()

    def held(self, connection: Connection) -> bool:
        """Tell whether the lease is held now, as the server of another connection sees it."""
        mine = {"name": self._name, "holder": self._holder}
        return values(connection, SQL["is_held"], mine) == [True]

    def _taken(self) -> Leases:
        with in_one_line():
            leases = _connected(self._conninfo, self._idle, self._holder)
            try:
                leases.take(self._name)
            except FAILURES:
                leases.close()
                raise
        return leases

    def close(self) -> None:
        """Give the lease up."""
        self._leases.close()


class SoleRight:
    """The right to be the only process that does something, for as long as its connection lives.

    A process that is silent for too long loses it without noticing, so whatever is done under this
    right must be fenced as well.
    """

    def __init__(self, conninfo: str, name: str, *, idle: str = _IDLE_RIGHT) -> None:
        """Name what is to be done by one at a time; the right is not taken yet.

        It is lost when it has not been taken again for `idle`.
        """
        self._conninfo = conninfo
        self._name = name
        self._idle = idle
        self._holder = uuid4()
        self._leases: Leases | None = None

    def take(self) -> bool:
        """Take the right, or keep it; False while somebody else has it.

        Raises OutsideError if somebody else has taken it since this process had it.
        """
        had = self._leases is not None
        try:
            if self._leases is None:
                self._leases = _connected(self._conninfo, self._idle, self._holder)
            taken = self._leases.take(self._name)
        except FAILURES as error:
            self.close()
            raise OutsideError(f"database: {first_line(error)}") from error
        if not taken:
            self.close()
            if had:
                raise OutsideError(f"database: another process is now the {self._name}")
        return taken

    def close(self) -> None:
        """Give the right up."""
        if self._leases is not None:
            self._leases.close()
            self._leases = None
