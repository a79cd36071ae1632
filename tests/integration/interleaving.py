"""Two transactions at the same moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from reconsent.store.postgres import Connection, Database

Work = Callable[[Connection], object]
_WAITING: Final = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def at_once(database: Database, first: Work, second: Work) -> None:
    """Do two works; the second is done before the first is committed, or waits for that."""
    other = threading.Thread(target=lambda: database.transaction(second))
    with database.connection() as connection:
        first(connection)
        other.start()
        while other.is_alive() and not waiting(database):
            time.sleep(0.01)
    other.join()


def waiting(database: Database) -> int:
    """Return how many wait for a lock; within a transaction the first answer would stay."""
    with database.connection() as connection:
        return len(connection.execute(_WAITING).fetchall())
