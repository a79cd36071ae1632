"""PostgreSQL: single connections, and the one way to the database for everything else."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout

from reconsent.domain.errors import BadInputError, OutsideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Connection = psycopg.Connection[tuple[Any, ...]]
Result = TypeVar("Result")

_TRIES = 10
_RECONNECT_SECONDS = 10.0
_CONNECT_SECONDS = 5
_LEAST_SECONDS = 2  # what libpq takes for less
_PATIENCE = 30.0
# A suspended process holds the locks of an open transaction for 60 seconds at most. JIT is off:
# before PostgreSQL 18, enable_seqscan = off raises estimated costs so far that even a statement
# about a few rows is compiled, which takes seconds. With Citus, SET LOCAL would hold on the server
# asked alone, and not where the rows are; without Citus, nothing reads that setting.
_OPTIONS = (
    "-c client_encoding=UTF8 -c timezone=UTC -c lock_timeout=60s "
    "-c idle_in_transaction_session_timeout=60s -c jit=off "
    "-c citus.propagate_set_commands=local"
)
_CONFLICTS = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
# Raises an error on a standby, which cannot be used anyway. A server whose files are replaced was
# started anew; a dump restored into the same cluster makes the tables again.
_CLUSTER = (
    "SELECT system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8),"
    " pg_postmaster_start_time(), to_regclass('clusters')::oid"
    " FROM pg_control_system()"
)
_NEVER = 2**31
FAILURES = (
    # Connections, limits, disks, orders of an administrator.
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # A role that lacks a right, or the schema.
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
    # Damaged files.
    psycopg.errors.InternalError_,
    psycopg.errors.DataCorrupted,
    psycopg.errors.IndexCorrupted,
)
"""Failures of the database, its server or the role; no statement of ours is at fault."""


class Database:
    """Transactions over a pool of connections, which nobody else can reach.

    Every failure of the database itself is an OutsideError of one line. `open_database` makes it.
    """

    def __init__(self, conninfo: str, pool: ConnectionPool[Connection]) -> None:
        self._conninfo = conninfo
        self._pool = pool
        self.patience = pool.timeout
        """Seconds to wait for a free connection."""

    def transaction(self, work: Callable[[Connection], Result]) -> Result:
        """Run work in one transaction, which is repeated after a deadlock, or a row in its way.

        Work must have no effect outside the transaction.
        """
        repeated = False
        for _ in range(_TRIES - 1):
            try:
                with self._connection() as connection:
                    return work(connection)
            except _CONFLICTS:
                pass
            except psycopg.errors.UniqueViolation:
                # ON CONFLICT waits for who adds the same row in the index that it names. Where the
                # row has another key too, that one may be met first; then the row is there.
                if repeated:
                    raise
                repeated = True
        with self.connection() as connection:
            return work(connection)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Keep one transaction open for as long as the block runs; commit it when the block ends.

        For what reads row by row: nothing is repeated, so that work that writes belongs into
        `transaction`.
        """
        with in_one_line(), self._connection() as connection:
            yield connection

    @contextmanager
    def one_moment(self) -> Iterator[Connection]:
        """Keep a transaction open that only reads, everything as it was when the block began."""
        with self.connection() as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield connection

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """Raise conflicts as they are, so that they can be repeated."""
        try:
            with self._pool.connection(timeout=self.patience) as connection:
                yield connection
        except _CONFLICTS:
            raise
        except PoolTimeout as error:
            # The pool does not know why it has none: the error of a direct connection does.
            seconds = min(_CONNECT_SECONDS, max(_LEAST_SECONDS, int(self.patience)))
            _try(make_conninfo(self._conninfo, connect_timeout=seconds))
            message = f"database: no connection was free for {self.patience:.0f} s"
            raise OutsideError(message) from error
        except FAILURES as error:
            # Connections are often lost together. Found one at a time, each would cost a pause.
            self._pool.check()
            raise OutsideError(f"database: {first_line(error)}") from error


class _Clusters:
    """Notices that new connections may lead to other data than earlier ones."""

    seen_restores = 0

    def __init__(self) -> None:
        self._cluster: tuple[Any, ...] | None = None

    def see(self, connection: Connection) -> None:
        """Look where a new connection leads."""
        cluster = connection.execute(_CLUSTER).fetchone()
        connection.commit()
        if self._cluster not in {None, cluster}:
            _Clusters.seen_restores += 1
        self._cluster = cluster


def restores() -> int:
    """Return how often a database may have been replaced, restored or promoted meanwhile.

    What was remembered of the database before may be wrong afterwards.
    """
    return _Clusters.seen_restores


@contextmanager
def open_database(
    conninfo: str,
    *,
    size: int = 12,
    name: str = "reconsent",
    patience: float = _PATIENCE,
    statement_seconds: int = 0,
    revive: Callable[[], None] | None = None,
) -> Iterator[Database]:
    """Keep connections, which call themselves by a name, ready for as long as the block runs.

    `patience` is how many seconds to wait for a free connection, `statement_seconds` how long a
    statement may take; 0 is no limit.
    `revive` is called when the server has not answered for a while.
    """
    _try(conninfo)  # a wrong address is reported at once rather than after a time-out
    pool: ConnectionPool[Connection] = ConnectionPool(
        conninfo,
        min_size=1,
        max_size=size,
        # A plan kept from when tables were empty would be used when they are full. Statements whose
        # plan is always the same are prepared one by one.
        kwargs={
            "options": f"{_OPTIONS} -c statement_timeout={statement_seconds}s",
            "application_name": name,
            "prepare_threshold": _NEVER,
        },
        timeout=patience,
        configure=_Clusters().see,
        check=ConnectionPool.check_connection,
        reconnect_timeout=_RECONNECT_SECONDS,
        reconnect_failed=lambda _: revive() if revive else None,
        open=False,
    )
    with pool:
        yield Database(conninfo, pool)


def _try(conninfo: str) -> None:
    """Connect as the pool does. Raises OutsideError if that fails."""
    with closing(connect(conninfo)) as connection, in_one_line():
        connection.execute(_CLUSTER)


def connect(conninfo: str, *, autocommit: bool = False) -> Connection:
    """Open one connection. Raises OutsideError in one line."""
    try:
        return psycopg.connect(conninfo, autocommit=autocommit, options=_OPTIONS)
    except psycopg.OperationalError as error:
        raise OutsideError(f"database: {first_line(error)}") from error
    except psycopg.ProgrammingError as error:
        raise BadInputError(f"DATABASE_URL: {first_line(error)}") from error


@contextmanager
def in_one_line(
    what: str = "database", errors: tuple[type[psycopg.Error], ...] = FAILURES
) -> Iterator[None]:
    """Report in one line that the database failed. Raises OutsideError."""
    try:
        yield
    except errors as error:
        raise OutsideError(f"{what}: {first_line(error)}") from error


def look_up_by_index(connection: Connection) -> None:
    """Have the rest of the transaction find rows by index.

    Statistics lag behind tables that grow, and know nothing about how columns are related. Where
    they are wrong, a statement about a few rows would read a whole table.
    """
    connection.execute("SET LOCAL enable_seqscan = off")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message; the rest repeats it or quotes statements."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
