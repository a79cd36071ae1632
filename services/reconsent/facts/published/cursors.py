"""How far each topic came along the changes of the tables that it follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from psycopg.rows import class_row
from psycopg.sql import SQL as COMPOSED
from psycopg.sql import Identifier

from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconsent.store.postgres import Connection

SQL = named("published/cursors")
Followed = Literal["accounts", "notices", "consents", "unsubscribes"]
"""A table with the columns `changed` and `account_key`."""


class Cursor(NamedTuple):
    """A change that was published: the transaction that made it, and the account concerned."""

    changed: str
    account_key: int


class _Row(NamedTuple):
    """A cursor as it is stored."""

    name: str
    changed: str
    account_key: int


def read_at_one_moment(connection: Connection) -> None:
    """Let the transaction that begins here see everything as it is at one moment."""
    connection.execute(SQL["snapshot"])


def cursors(
    connection: Connection, topic: str, tables: Iterable[Followed]
) -> dict[Followed, Cursor]:
    """Read how far each table was followed."""
    names = {_name(topic, table): table for table in tables}
    reading = connection.cursor(row_factory=class_row(_Row))
    rows = reading.execute(SQL["cursors"], {"names": list(names)})
    return {names[row.name]: Cursor(row.changed, row.account_key) for row in rows}


def changes_after(
    connection: Connection, table: Followed, cursor: Cursor, limit: int
) -> list[Cursor]:
    """Return the next changes, up to the oldest transaction that is still running.

    All that one transaction changed of one account come together, also past the limit.
    """
    query = COMPOSED(SQL["changes"]).format(table=Identifier(table))
    reading = connection.cursor(row_factory=class_row(Cursor))
    return reading.execute(query, cursor._asdict() | {"limit": limit}).fetchall()


def any_changes(connection: Connection, topic: str, tables: Iterable[Followed]) -> bool:
    """Tell whether anything changed that was not published, also in a transaction under way."""
    return any(
        found
        for table, cursor in cursors(connection, topic, tables).items()
        for (found,) in connection.execute(
            COMPOSED(SQL["any_changes"]).format(table=Identifier(table)), cursor._asdict()
        )
    )


def follow(connection: Connection, topic: str, table: Followed, cursor: Cursor) -> None:
    """Note which change was published last."""
    connection.execute(SQL["follow"], cursor._asdict() | {"name": _name(topic, table)})


def _name(topic: str, table: Followed) -> str:
    return f"relay {topic} {table}"
