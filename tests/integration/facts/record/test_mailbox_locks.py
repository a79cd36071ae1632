"""Nobody waits for ever to lock mailboxes exclusively. RULES 15."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from reconsent.facts.record.locks import (
    lock_all_mailboxes_exclusive,
    lock_mailboxes_exclusive,
    lock_mailboxes_shared,
)
from reconsent.store.postgres import Connection, Database
from tests.integration.interleaving import waiting

ONE, OTHER = bytes([1] * 32), bytes([2] * 32)


class Turns:
    """Transactions that lock mailboxes, in the order in which they got the locks."""

    def __init__(self, database: Database) -> None:
        """Nobody has any yet."""
        self.database = database
        self.order: list[str] = []
        self._running: list[threading.Thread] = []

    def begin(self, name: str, lock: Callable[[Connection], None]) -> None:
        """Begin a transaction; on return it waits for a lock."""
        before = waiting(self.database)

        def work(connection: Connection) -> None:
            lock(connection)
            self.order.append(name)

        thread = threading.Thread(target=self.database.transaction, args=(work,))
        thread.start()
        self._running.append(thread)
        while waiting(self.database) <= before:
            assert thread.is_alive(), f"{name} did not wait"
            time.sleep(0.01)

    def end(self) -> None:
        """Wait until all have ended."""
        for thread in self._running:
            thread.join()


@pytest.fixture
def turns(database: Database) -> Turns:
    """Return transactions that have not begun."""
    return Turns(database)


def _shared(connection: Connection) -> None:
    lock_mailboxes_shared(connection, [ONE])


@pytest.mark.parametrize(
    "exclusive",
    [lock_all_mailboxes_exclusive, lambda c: lock_mailboxes_exclusive(c, [ONE])],
    ids=["all", "one"],
)
def test_who_comes_later_to_share_does_not_join_in(
    turns: Turns, exclusive: Callable[[Connection], None]
) -> None:
    """It waits behind the one that waits for those that share the lock now."""
    with turns.database.connection() as sharing:
        _shared(sharing)
        turns.begin("alone", exclusive)
        turns.begin("shared", _shared)
        assert turns.order == []
    turns.end()
    assert turns.order == ["alone", "shared"]


def test_who_shares_a_lock_may_share_another(turns: Turns) -> None:
    """It does not wait behind the one that waits for it."""
    with turns.database.connection() as sharing:
        _shared(sharing)
        turns.begin("alone", lambda connection: lock_mailboxes_exclusive(connection, [ONE]))
        lock_mailboxes_shared(sharing, [OTHER, ONE])
        turns.order.append("shared")
    turns.end()
    assert turns.order == ["shared", "alone"]


def test_sharing_does_not_hold_up_others_that_share(turns: Turns) -> None:
    """Those that share the lock do so at the same time."""
    with turns.database.connection() as sharing:
        _shared(sharing)
        turns.database.transaction(_shared)


def test_the_next_transaction_of_a_connection_waits_again(database: Database) -> None:
    """What the last one had locked does not count any more."""
    with database.connection() as connection:
        for _ in range(2):
            _shared(connection)
            [(noted,)] = connection.execute(
                "SELECT current_setting('reconsent.mailboxes', true)"
            ).fetchall()
            assert noted == "locked"
            connection.commit()
            [(noted,)] = connection.execute(
                "SELECT current_setting('reconsent.mailboxes', true)"
            ).fetchall()
            assert noted != "locked"
