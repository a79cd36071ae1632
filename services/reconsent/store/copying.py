"""Many rows at once into PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconsent.store.postgres import Connection


def copy_in(
    connection: Connection,
    command: LiteralString,
    types: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Write rows with columns of the given types by a COPY command in binary format."""
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def copy_text(connection: Connection, command: LiteralString, rows: bytes) -> None:
    """Write rows that are in COPY's text format already."""
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        copy.write(rows)
