"""How connections are set up, whatever the server's own settings are."""

from __future__ import annotations

from typing import Final, LiteralString

import psycopg
import pytest
from psycopg import sql

from reconsent.store.postgres import Connection, Database, connect

_ADD_POLICY: Final[LiteralString] = "INSERT INTO policies (policy) VALUES ('shop')"


def test_no_statement_is_compiled(conninfo: str, database: Database) -> None:
    """JIT is off in the pool and outside it, also where the server has it on."""
    with psycopg.connect(conninfo, autocommit=True) as server:
        name = sql.Identifier(server.info.dbname)
        server.execute(sql.SQL("ALTER DATABASE {} SET jit = on").format(name))
    with connect(conninfo) as alone:
        assert alone.execute("SHOW jit").fetchone() == ("off",)
    with database.connection() as pooled:
        assert pooled.execute("SHOW jit").fetchone() == ("off",)


def test_a_row_that_another_adds_at_once_is_there_the_second_time(
    conninfo: str, database: Database
) -> None:
    """ON CONFLICT names one index; the transaction is repeated where the other one is met first."""
    tries = 0

    def add(connection: Connection) -> int | None:
        nonlocal tries
        tries += 1
        if tries == 1:
            with psycopg.connect(conninfo, autocommit=True) as other:
                other.execute(_ADD_POLICY)
            # As when the other one is between its two indexes.
            connection.execute(_ADD_POLICY)
        return connection.execute("SELECT FROM policies").rowcount

    assert database.transaction(add) == 1
    assert tries == 2


def test_a_row_that_stays_in_the_way_is_an_error(database: Database) -> None:
    """It is no conflict with another transaction."""
    tries = 0

    def add_twice(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        connection.execute(_ADD_POLICY)
        connection.execute(_ADD_POLICY)

    with pytest.raises(psycopg.errors.UniqueViolation):
        database.transaction(add_twice)
    assert tries == 2
