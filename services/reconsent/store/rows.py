"""Rows of a query, read by the names of their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

from psycopg.rows import class_row, scalar_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconsent.store.postgres import Connection

Row = TypeVar("Row")


def all_rows(
    connection: Connection,
    row: type[Row],
    query: LiteralString,
    parameters: Mapping[str, Any] | None = None,
) -> list[Row]:
    """Run a query; return its rows as values whose fields are named like its columns."""
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(query, parameters).fetchall()


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
