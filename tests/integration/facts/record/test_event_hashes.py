"""Hashing the events of choices in a database of an earlier release. RULES 17, 28."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final, LiteralString

import psycopg
import pytest

from reconsent.domain.event import parse
from reconsent.domain.received import Received
from reconsent.domain.recorded import Counts
from reconsent.domain.signing import Signer
from reconsent.facts.record.event_hashes import hash_events
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Database

SIGNER: Final = Signer("secret")
NOW: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
_WRITE_AS_BEFORE: Final = """
INSERT INTO consents (bucket, account_key, entry, answer, data_category, data_use, recipient,
                      decided_at, source, event_id)
SELECT bucket, account_key, 2, 'deny', '*', 'marketing', '*', now(), 'urn:calls:ann', 'call 7'
FROM accounts
"""


def record(database: Database, source: str, identity: str) -> Counts:
    """Record a no of Ann's."""
    who = {"property": "shop.example", "account": "ann", "decided_at": NOW.isoformat()}
    data = json.dumps(who | {"answer": "deny", "data_use": "marketing"}).encode()
    event = Received("choices", source, identity, parse("choices", data))
    recorder = Recorder(PublishedVersions(), SIGNER.address_hash)
    return database.transaction(lambda connection: recorder.record(connection, [event]))


def run(database: Database, statement: LiteralString) -> list[tuple[Any, ...]]:
    """Run a statement; return its rows, if it has any."""
    with database.connection() as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_a_choice_of_before_is_known_again_by_its_hash(database: Database) -> None:
    """Nothing is left of its source and id, and sending it again adds nothing."""
    assert record(database, "urn:calls:ann", "call 6").new == 1
    run(database, _WRITE_AS_BEFORE)
    for _ in range(2):
        hash_events(database, SIGNER.address_hash)
    assert run(database, "SELECT DISTINCT source, event_id FROM consents") == [(None, None)]
    for call in ("call 6", "call 7"):
        assert record(database, "urn:calls:ann", call) == Counts(unchanged=1)
    assert record(database, "urn:calls:bob", "call 7").new == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE consents SET event_hash = '\\x00'",
        "UPDATE consents SET event_hash = NULL, source = 's', event_id = 'e'",
        "UPDATE consents SET decided_at = decided_at - interval '1 day'",
        "UPDATE consents SET event_hash = '\\x00', answer = 'allow'",
    ],
)
def test_an_entry_is_hashed_once_and_never_changed(
    database: Database, change: LiteralString
) -> None:
    """The ledger stays append-only."""
    record(database, "urn:calls:ann", "call 6")
    with pytest.raises(psycopg.errors.RestrictViolation):
        run(database, change)
