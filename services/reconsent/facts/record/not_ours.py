"""Counting reports about mails that somebody else sent. RULES 15."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconsent.store.named import named

if TYPE_CHECKING:
    from reconsent.store.postgres import Connection

SQL = named("record/not_ours")
_SLOTS: Final = 64


def count_not_ours(connection: Connection, reports: int) -> None:
    """Add to the count, in a row that few other sessions write to."""
    slot = connection.info.backend_pid % _SLOTS
    connection.execute(SQL["count"], {"slot": slot, "reports": reports})
