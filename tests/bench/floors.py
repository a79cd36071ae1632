"""Bare tables for floors, with the keys, indexes, checks and storage of a real table."""

from __future__ import annotations

from typing import Final, LiteralString

from psycopg.sql import SQL, Identifier

from reconsent.store.postgres import Connection

_LIKE: Final = SQL("CREATE TABLE {bare} (LIKE {real} INCLUDING ALL)")
# LIKE copies neither.
_OPTIONS: Final = "SELECT coalesce(reloptions, '{}') FROM pg_class WHERE oid = %(table)s::regclass"
_REFERENCES: Final = """
SELECT pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = %(table)s::regclass AND contype = 'f'
"""
_CONSTRAINTS: Final = """
SELECT contype::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = %(table)s::regclass AND contype IN ('p', 'u', 'c', 'f')
"""
_INDEXES: Final = """
SELECT indisunique, substring(pg_get_indexdef(indexrelid) FROM ' USING .*$'), reloptions
FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = %(table)s::regclass
"""


def bare(connection: Connection, table: str, name: str = "") -> str:
    """Make an empty table like a real one, compare the two, and return its name."""
    made = name or f"bare_{table}"
    connection.execute(SQL("DROP TABLE IF EXISTS {bare}").format(bare=Identifier(made)))
    connection.execute(_LIKE.format(bare=Identifier(made), real=Identifier(table)))
    [(options,)] = connection.execute(_OPTIONS, {"table": table}).fetchall()
    for option in options:
        setting: LiteralString = option
        connection.execute(
            SQL("ALTER TABLE {bare} SET (").format(bare=Identifier(made)) + SQL(setting) + SQL(")")
        )
    for (reference,) in connection.execute(_REFERENCES, {"table": table}).fetchall():
        connection.execute(
            SQL("ALTER TABLE {bare} ADD ").format(bare=Identifier(made)) + SQL(reference)
        )
    same_as_real(connection, made, table)
    return made


def same_as_real(connection: Connection, made: str, table: str) -> None:
    """Compare keys, checks, references, indexes and fillfactor of two tables."""
    for query in (_CONSTRAINTS, _INDEXES, _OPTIONS):
        of_bare, of_real = (
            sorted(map(str, connection.execute(query, {"table": one}).fetchall()))
            for one in (made, table)
        )
        assert of_bare == of_real, f"{made} differs from {table}"
