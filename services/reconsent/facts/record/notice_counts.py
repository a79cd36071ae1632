"""How many notices are in each state, kept as they change: a trigger appends every difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconsent.store.named import named

if TYPE_CHECKING:
    from reconsent.store.postgres import Connection

SQL = named("record/notice_counts")
APPENDED: Final = 1000


def merge_counts(connection: Connection, at_least: int = APPENDED) -> None:
    """Merge the appended differences if there are at least so many."""
    connection.execute(SQL["merge"], {"at_least": at_least})
