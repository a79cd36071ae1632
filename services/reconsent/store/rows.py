"""Rows of a query, read by the names of their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple, TypeVar

from psycopg.rows import class_row, scalar_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from psycopg import Cursor
    from psycopg.rows import RowFactory

    from reconsent.store.postgres import Connection

Row = TypeVar("Row")
Named = TypeVar("Named", bound=NamedTuple)


def all_rows(
    connection: Connection,
    row: type[Row],
    query: LiteralString,
    parameters: Mapping[str, Any] | None = None,
) -> list[Row]:
    """Run a query; return its rows as values whose fields are named like its columns."""
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(query, parameters).fetchall()


def rows_of_all(
    connection: Connection,
    row: type[Row],
    query: LiteralString,
    parameters: Iterable[Mapping[str, Any]],
) -> list[Row]:
    """Run a query with each of some parameters, all sent at once; return the rows of all."""
    each = list(parameters)
    found: list[Row] = []
    with connection.cursor(row_factory=class_row(row)) as cursor:
        if each:
            cursor.executemany(query, each, returning=True)
            found += cursor.fetchall()
        while cursor.nextset():
            found += cursor.fetchall()
    return found


def one_row(
    connection: Connection,
    row: type[Row],
    query: LiteralString,
    parameters: Mapping[str, Any] | None = None,
) -> Row | None:
    """Run a query; return its first row, None where there is none."""
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(query, parameters).fetchone()


def values(
    connection: Connection, query: LiteralString, parameters: Mapping[str, Any] | None = None
) -> list[Any]:
    """Run a query that has one column; return its values."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(query, parameters).fetchall()


def rows_of(row: type[Named]) -> RowFactory[Named]:
    """Return a row factory for named tuples whose fields are the query's columns, in their order.

    It takes a fraction of the time of psycopg's own, which finds each field by its name.
    """

    def make(cursor: Cursor[Any]) -> Callable[[Any], Named]:
        columns = tuple(column.name for column in cursor.description or ())
        if columns not in {(), row._fields}:
            message = f"{row.__name__} has other fields than the columns {', '.join(columns)}"
            raise TypeError(message)
        return row._make

    return make
