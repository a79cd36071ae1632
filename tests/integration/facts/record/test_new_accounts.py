"""Unknown accounts are added by one statement, unless another transaction was first."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from reconsent.domain.cloudevents import bare
from reconsent.domain.event import parse
from reconsent.domain.recorded import Counts
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Connection, Database
from tests.embedded_programs import wait_until

_BLOCKED = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def _record(connection: Connection, events: Sequence[tuple[str, str, str]]) -> Counts:
    """Record events: account, status and day."""
    values = [
        (
            f'{{"property": "shop.example", "account": "{account}", "status": "{status}",'
            f' "contact": "all", "email": "{account}{day}@example.com",'
            f' "updated_at": "2026-11-{day}T10:00:00Z"}}'
        ).encode()
        for account, status, day in events
    ]
    received = [bare("accounts", value, parse("accounts", value)) for value in values]
    now = datetime(2026, 12, 1, tzinfo=UTC)
    recorder = Recorder(PublishedVersions(), lambda _: bytes(range(32)), lambda: now)
    return recorder.record(connection, received)


def _accounts(database: Database) -> list[tuple[object, ...]]:
    with database.connection() as connection:
        return connection.execute(
            "SELECT account, accounts.status, email, address_hash, count(since)::integer"
            " FROM accounts JOIN account_sets USING (bucket, account_key)"
            " JOIN account_history USING (bucket, account_key)"
            " GROUP BY account, accounts.status, email, address_hash ORDER BY account"
        ).fetchall()


def test_one_batch_has_all_kinds_of_new_accounts(database: Database) -> None:
    """Each is added once, with its history; of a deleted one nothing personal is left."""
    events = [("a", "active", "01"), ("b", "active", "01"), ("b", "deactivated", "02")]
    events += [("c", "deleted", "01"), ("d", "deactivated", "01")]
    counts = database.transaction(lambda connection: _record(connection, events))
    assert counts == Counts(new=5)
    hashed = bytes(range(32))
    assert _accounts(database) == [
        ("a", "active", "a01@example.com", hashed, 1),
        ("b", "deactivated", "b02@example.com", hashed, 2),
        ("c", "deleted", None, None, 1),
        ("d", "deactivated", "d01@example.com", hashed, 1),
    ]
    counts = database.transaction(lambda connection: _record(connection, events))
    assert counts.new == 0


def test_an_account_that_another_transaction_has_just_added_is_changed(database: Database) -> None:
    """The batch waits for the other transaction, and then goes on from what that wrote."""
    with ThreadPoolExecutor(1) as worker, database.connection() as other:
        _record(other, [("a", "active", "01")])
        events = [("a", "deactivated", "02"), ("b", "active", "01")]
        recording = worker.submit(
            lambda: database.transaction(lambda connection: _record(connection, events))
        )
        with database.connection() as watching:

            def blocked() -> bool:
                found = watching.execute(_BLOCKED).fetchall()
                watching.rollback()
                return bool(found)

            wait_until(blocked)
        other.commit()
        assert recording.result() == Counts(new=2)
    hashed = bytes(range(32))
    assert _accounts(database) == [
        ("a", "deactivated", "a02@example.com", hashed, 2),
        ("b", "active", "b01@example.com", hashed, 1),
    ]
