"""How connections are set up, whatever the server's own settings are."""

from __future__ import annotations

import psycopg
from psycopg import sql

from reconsent.store.postgres import Database, connect


def test_no_statement_is_compiled(conninfo: str, database: Database) -> None:
    """JIT is off in the pool and outside it, also where the server has it on."""
    with psycopg.connect(conninfo, autocommit=True) as server:
        name = sql.Identifier(server.info.dbname)
        server.execute(sql.SQL("ALTER DATABASE {} SET jit = on").format(name))
    with connect(conninfo) as alone:
        assert alone.execute("SHOW jit").fetchone() == ("off",)
    with database.connection() as pooled:
        assert pooled.execute("SHOW jit").fetchone() == ("off",)
