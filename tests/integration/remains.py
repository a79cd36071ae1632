"""Where in the database a text or a hash is left."""

from __future__ import annotations

from psycopg import sql

from reconsent.store.postgres import Connection
from tests.integration.stage import Stage


def columns(connection: Connection) -> list[tuple[str, str]]:
    """Return every column that can hold text, bytes or JSON."""
    return connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " JOIN information_schema.tables USING (table_schema, table_name)"
        " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        " AND table_type = 'BASE TABLE' AND data_type NOT IN ("
        " 'bigint', 'boolean', 'date', 'double precision', 'integer', 'smallint',"
        " 'timestamp with time zone', 'uuid', 'xid8')"
    ).fetchall()


def found(place: Stage, *needles: str | bytes) -> set[str]:
    """Return the columns, as TABLE.COLUMN, that hold any of some texts or bytes."""
    # Bytes are written in hexadecimal.
    texts = [
        text
        for needle in needles
        for text in ((needle.hex(),) if isinstance(needle, bytes) else (needle,))
    ] + [needle.encode().hex() for needle in needles if isinstance(needle, str)]
    with place.database.connection() as connection:
        return {
            f"{table}.{column}"
            for table, column in columns(connection)
            if connection.execute(
                sql.SQL(
                    "SELECT EXISTS (SELECT FROM {} WHERE EXISTS ("
                    " SELECT FROM unnest(%s::text[]) AS needle WHERE strpos({}::text, needle) > 0))"
                ).format(sql.Identifier(table), sql.Identifier(column)),
                [texts],
            ).fetchone()
            == (True,)
        }
