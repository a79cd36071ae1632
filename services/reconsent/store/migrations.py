"""The migrations in schemas/postgres, applied in the order of their names.

A migration is one transaction. What PostgreSQL cannot do in a transaction, such as CREATE INDEX
CONCURRENTLY, goes into a file whose first line is `-- outside a transaction`. Its statements run
one by one, each ended by a semicolon at the end of a line. If one of them fails, or the process
dies, the next run begins again with the first, so each must be safe to repeat: a concurrent index
is dropped IF EXISTS before it is created, because a failed attempt leaves an invalid one behind.

The hash of each file is stored when it is applied. If an applied file has changed since, nobody
knows what the database holds, and the program refuses to start.
"""

from __future__ import annotations

import re
import time
from contextlib import closing, contextmanager
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg
from psycopg import errors

from reconsent.domain.errors import OutsideError, StoppedError
from reconsent.store.postgres import connect, first_line, in_one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from importlib.resources.abc import Traversable

    from reconsent.store.postgres import Connection

SUPPORTED: Final = range(15, 19)
_FOLDER: Final = files("reconsent.schemas").joinpath("postgres")
_NAME: Final = re.compile(r"\d{4}_\w+\.sql")
_OUTSIDE: Final = b"-- outside a transaction\n"
_END_OF_STATEMENT: Final = re.compile(rb";[ \t]*$", re.MULTILINE)
_LOOK_SECONDS: Final = 0.1
_LONGEST_WAIT: Final = 60.0
# A suspended process holds the lock no longer than this.
_IDLE: Final = "2min"


class Migration(NamedTuple):
    """One file."""

    name: str
    sql: bytes

    @property
    def checksum(self) -> str:
        """The hash of the file."""
        return sha256(self.sql).hexdigest()


def migrate(conninfo: str, folder: Traversable = _FOLDER) -> list[str]:
    """Apply the migrations that are missing; return their names. Two at once are safe.

    Raises StoppedError if a migration was changed after it was applied, and OutsideError with the
    name of a migration that failed; the next run repeats that one.
    """
    known = migrations(folder)
    with in_one_line(), closing(connect(conninfo, autocommit=True)) as connection:
        _check_server(connection)
        missing = _missing(known, _applied(connection))
        if not missing:
            return []
        with _allowed(connection, missing), _alone(connection):
            _prepare(connection, known)
            missing = _missing(known, _applied(connection))
            for migration in missing:
                with in_one_line(f"database: migration {migration.name}", (psycopg.Error,)):
                    _apply(connection, migration)
    return [migration.name for migration in missing]


def _check_server(connection: Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        message = (
            f"database: its encoding is {encoding}, and only UTF8 holds every name; create it with "
            "`createdb --encoding UTF8 --template template0`"
        )
        raise OutsideError(message)
    version = connection.info.server_version // 10000
    if version not in SUPPORTED:
        message = f"database: PostgreSQL {version} is not supported, 15 to 18 are"
        raise OutsideError(message)


@contextmanager
def _allowed(connection: Connection, missing: Sequence[Migration]) -> Iterator[None]:
    """Say what to do if the role must not change tables."""
    try:
        yield
    except (errors.InsufficientPrivilege, errors.InvalidSchemaName) as error:
        message = (
            f"database: {len(missing)} migrations from {missing[0].name} on are missing, and the "
            f"role {connection.info.user} cannot apply them ({first_line(error)}): run `reconsent "
            "migrate` as the role that owns the tables"
        )
        raise OutsideError(message) from error


def migrations(folder: Traversable = _FOLDER) -> list[Migration]:
    """Read the migrations in the order in which they apply."""
    found = sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name))
    return [Migration(name, folder.joinpath(name).read_bytes()) for name in found]


def _applied(connection: Connection) -> dict[str, str]:
    """Return the checksums that are stored, by name."""
    stored = "SELECT name, sha256 FROM migrations WHERE sha256 IS NOT NULL"
    try:
        return dict(connection.execute(stored).fetchall())
    except (errors.UndefinedTable, errors.UndefinedColumn):
        return {}


def _missing(known: Sequence[Migration], applied: Mapping[str, str]) -> list[Migration]:
    if later := applied.keys() - {migration.name for migration in known}:
        message = f"database: it was migrated by a later release ({max(later)}); install that one"
        raise StoppedError(message)
    for migration in known:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            message = (
                f"database: migration {migration.name} was changed after it was applied; "
                "install the release that this database was migrated with, or a later one"
            )
            raise StoppedError(message)
    return [migration for migration in known if migration.name not in applied]


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Let nobody else migrate until the connection closes.

    This is the only advisory lock: there is no table for a lease yet, and a migration may run for
    longer than a lease lasts. It is a lock of one node, so all migrations run against the same one.
    """
    connection.execute("SELECT set_config('idle_session_timeout', %s, false)", (_IDLE,))
    deadline = time.monotonic() + _LONGEST_WAIT
    # A statement that waits for the lock would hold a snapshot, for which CREATE INDEX CONCURRENTLY
    # of the process that has the lock would wait in turn.
    lock = "SELECT pg_try_advisory_lock(hashtext('reconsent.migrate'))"
    while not connection.execute(lock).fetchall()[0][0]:
        if time.monotonic() > deadline:
            message = "database: another process is still applying migrations"
            raise OutsideError(message)
        time.sleep(_LOOK_SECONDS)
    yield


def _prepare(connection: Connection, known: Sequence[Migration]) -> None:
    """Make the table; what was applied before checksums were stored is taken to be unchanged."""
    with connection.transaction():
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations ("
            " name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        connection.execute("ALTER TABLE migrations ADD COLUMN IF NOT EXISTS sha256 text")
        for migration in known:
            connection.execute(
                "UPDATE migrations SET sha256 = %s WHERE name = %s AND sha256 IS NULL",
                (migration.checksum, migration.name),
            )


def _apply(connection: Connection, migration: Migration) -> None:
    record = "INSERT INTO migrations (name, sha256) VALUES (%s, %s)"
    row = (migration.name, migration.checksum)
    if migration.sql.startswith(_OUTSIDE):
        for statement in filter(bytes.strip, _END_OF_STATEMENT.split(migration.sql)):
            connection.execute(statement)
        connection.execute(record, row)
        return
    with connection.transaction():
        connection.execute(migration.sql)
        connection.execute(record, row)
