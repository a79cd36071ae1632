"""PostgreSQL: connections, migrations, and transactions that are tried again."""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from reconsent.domain.errors import BadInputError, OutsideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Connection = psycopg.Connection[tuple[Any, ...]]
Pool = ConnectionPool[Connection]
Result = TypeVar("Result")

SUPPORTED = range(15, 19)
_TRIES = 10
_PATIENCE = 10.0
# A process that is stopped holds a right to be the only one no longer than this.
_IDLE_RIGHT = "2min"
# Longer than any answer is waited for: who is silent for so long is stopped, or cut off.
_IDLE_LEASE = "15min"
# A process that is stopped in the middle of a transaction holds its locks no longer than this.
_OPTIONS = (
    "-c client_encoding=UTF8 -c timezone=UTC -c lock_timeout=60s "
    "-c idle_in_transaction_session_timeout=60s"
)
_MIGRATION = re.compile(r"(\d{4})_\w+\.sql")


def connect(conninfo: str, *, autocommit: bool = False) -> Connection:
    """Open one connection. Raises OutsideError in one line."""
    try:
        return psycopg.connect(conninfo, autocommit=autocommit, options=_OPTIONS)
    except psycopg.OperationalError as error:
        raise OutsideError(f"database: {_first_line(error)}") from error
    except psycopg.ProgrammingError as error:
        raise BadInputError(f"DATABASE_URL: {_first_line(error)}") from error


@contextmanager
def pool(
    conninfo: str,
    *,
    size: int = 12,
    name: str = "reconsent",
    revive: Callable[[], None] | None = None,
) -> Iterator[Pool]:
    """Keep connections, which call themselves by a name, ready for as long as the block runs.

    `revive` is called when the server has not answered for a while.
    """
    connect(conninfo).close()  # a wrong address is told at once rather than after a time-out
    made: Pool = ConnectionPool(
        conninfo,
        min_size=1,
        max_size=size,
        # A plan kept from when tables were empty would be used when they are full.
        kwargs={"options": _OPTIONS, "application_name": name, "prepare_threshold": None},
        check=ConnectionPool.check_connection,
        reconnect_timeout=_PATIENCE,
        reconnect_failed=lambda _: revive() if revive else None,
        open=False,
    )
    with made:
        yield made


def transaction(connections: Pool, work: Callable[[Connection], Result]) -> Result:
    """Run work in one transaction; again when it met a deadlock or a lost connection.

    Work must have no effect outside the transaction. Raises OutsideError in one line.
    """
    for remaining in reversed(range(_TRIES)):
        try:
            with connections.connection() as connection:
                return work(connection)
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as error:
            if not remaining:
                raise OutsideError(f"database: {_first_line(error)}") from error
        except (psycopg.OperationalError, PoolTimeout) as error:
            # Others are often lost with one; found one by one, each would cost a longer pause.
            connections.check()
            raise OutsideError(f"database: {_first_line(error)}") from error
    message = "database: no try was left"
    raise OutsideError(message)


@contextmanager
def in_one_line() -> Iterator[None]:
    """Tell in one line that the database broke off. Raises OutsideError."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise OutsideError(f"database: {_first_line(error)}") from error


def migrate(conninfo: str) -> list[str]:
    """Apply the migrations that are missing; return their names. Two at once are safe."""
    with in_one_line(), connect(conninfo) as connection:
        version = connection.info.server_version // 10000
        if version not in SUPPORTED:
            message = f"database: PostgreSQL {version} is not supported, 15 to 18 are"
            raise OutsideError(message)
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('reconsent.migrate'))")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations ("
            " name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known = {name for (name,) in connection.execute("SELECT name FROM migrations")}
        missing = [name for name in migrations() if name not in known]
        for name in missing:
            sql = files("reconsent.schemas").joinpath("postgres", name).read_text("utf-8")
            connection.execute(sql)
            connection.execute("INSERT INTO migrations (name) VALUES (%s)", (name,))
        return missing


def migrations() -> list[str]:
    """Name the migrations in the order in which they apply."""
    folder = files("reconsent.schemas").joinpath("postgres")
    return sorted(path.name for path in folder.iterdir() if _MIGRATION.fullmatch(path.name))


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


class Lease:
    """A sign that this process lives: a lock that the database lets go of when it dies.

    It is lost by whoever neither renews it nor claims anything for too long, as those who are
    stopped do.
    """

    def __init__(self, conninfo: str, *, idle: str = _IDLE_LEASE) -> None:
        """Take a lease of its own; it is lost when it was not renewed for as long as `idle`."""
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
        """Tell whether it is held now, as the server of another connection sees it."""
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
    """The right to be the only one that does something, for as long as its connection lives.

    It is lost to others by whoever is silent for too long, and cannot tell: what is done with it
    has to be fenced besides.
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
            raise OutsideError(f"database: {_first_line(error)}") from error
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
