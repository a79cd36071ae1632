"""Collections that are recorded again, where they cannot be told from new ones beforehand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Final

from reconsent.domain.event import AccountEvent, CollectionEvent
from reconsent.domain.recorded import Counts
from reconsent.domain.signing import Signer
from reconsent.facts.record.accounts import record_accounts
from reconsent.facts.record.collections import record_collections
from reconsent.facts.versions import Policies
from reconsent.store.postgres import Database

_AT: Final = datetime(2026, 11, 1, tzinfo=UTC)
_HASHED: Final = Signer("s").address_hash


def _account(status: str, day: int) -> AccountEvent:
    return AccountEvent.model_validate(
        {
            "property": "shop.example",
            "account": "ann",
            "status": status,
            "contact": "all",
            "updated_at": _AT + timedelta(days=day),
        }
    )


def _collection(category: str, day: int) -> CollectionEvent:
    return CollectionEvent.model_validate(
        {
            "property": "shop.example",
            "account": "ann",
            "data_category": category,
            "collected_at": _AT + timedelta(days=day),
        }
    )


def _held(database: Database) -> list[str]:
    with database.connection() as connection:
        [(members,)] = connection.execute(
            "SELECT members FROM accounts JOIN account_sets USING (bucket, account_key)"
            " JOIN holdings USING (holdings_id)"
        ).fetchall()
    return [category for category, _ in members]


def test_of_an_account_that_was_deleted(database: Database) -> None:
    """What was collected after the return is held, what was collected before was held once."""

    def record(*events: CollectionEvent) -> Counts:
        return database.transaction(lambda c: record_collections(c, events, Policies(), str.encode))

    states = [_account("active", 0), _account("deleted", 1), _account("active", 2)]
    database.transaction(lambda c: record_accounts(c, states, Policies(), _HASHED))
    early, first, second = _collection("a.a", 1), _collection("b.b", 3), _collection("c.c", 3)
    assert record(early, first) == Counts(new=2)
    assert record(first) == Counts(unchanged=1)
    assert record(early, first, second, second) == Counts(new=1, unchanged=3)
    assert _held(database) == ["b.b", "c.c"]


def test_collected_twice_at_the_same_time(database: Database) -> None:
    """The second transaction waits for the first, and finds its collection known."""
    database.transaction(
        lambda c: record_collections(c, [_collection("a.a", 0)], Policies(), str.encode)
    )
    both = [_collection("b.b", 0), _collection("c.c", 0)]
    with ThreadPoolExecutor(1) as other, database.connection() as connection:
        assert record_collections(connection, both[:1], Policies(), str.encode) == Counts(new=1)
        waiting = other.submit(
            database.transaction, lambda c: record_collections(c, both, Policies(), str.encode)
        )
        with database.connection() as watching:
            while not watching.execute(
                "SELECT FROM pg_locks WHERE NOT granted AND locktype IN ('tuple', 'transactionid')"
            ).fetchall():
                watching.rollback()
        connection.commit()
        assert waiting.result() == Counts(new=1, unchanged=1)
    assert _held(database) == ["a.a", "b.b", "c.c"]
