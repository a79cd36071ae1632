"""Messages that were not recorded, and retrying them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from reconsent.domain.bus import Message
from reconsent.domain.change import as_event
from reconsent.domain.cloudevents import pack
from reconsent.domain.errors import BadInputError
from reconsent.domain.signing import Signer
from reconsent.facts.record.dead_letters import Retried, retry_lines
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store.dead_letters import waiting
from reconsent.store.log import append_dead_letter
from tests.drafts import draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.dead_letters import Id
    from reconsent.store.postgres import Connection, Database


NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
SHOP = "shop.example"
RECORDER_HASH = Signer("secret").address_hash
RECORDER = Recorder(PublishedVersions(), RECORDER_HASH)


def event(topic: str, account: str, number: int = 0, **data: Any) -> Message:  # noqa: ANN401
    """Make an event about an account, sent `number` minutes after NOW."""
    at = NOW + timedelta(minutes=number)
    value = json.dumps({"property": SHOP, "account": account} | data).encode()
    key = f"{SHOP}/{account}".encode()
    packed = pack(topic, value, source="urn:test", id=f"{account} {number}", time=at, key=key)
    return packed._replace(partition=0, offset=number)


def profile(account: str, number: int = 0, **data: Any) -> Message:  # noqa: ANN401
    """Make an account event, sent `number` minutes after NOW."""
    at = (NOW + timedelta(minutes=number)).isoformat()
    fields = {"status": "active", "contact": "all", "updated_at": at}
    return event("accounts", account, number, **fields | data)


def denial(account: str, number: int = 0, **data: Any) -> Message:  # noqa: ANN401
    """Make a choice, sent `number` minutes after NOW."""
    at = (NOW + timedelta(minutes=number)).isoformat()
    fields = {"answer": "deny", "data_use": "marketing", "decided_at": at}
    return event("choices", account, number, **fields | data)


def garbage(topic: str, account: str, number: int = 0) -> Message:
    """Make an unreadable message."""
    return event(topic, account, number)._replace(value=b"{")


def follower() -> Message:
    """Make a version whose predecessor is missing: readable, and refused by the rules."""
    value = as_event(draft(version="v2", follows="v1"))
    return Message("policy-versions", b"campaigner", value, (), NOW, 0, 0)


def bury_all(database: Database, messages: Sequence[Message]) -> list[Id]:
    """Make dead letters of messages; return their ids in order."""

    def work(connection: Connection) -> list[Id]:
        ids: list[Id] = []
        for message in messages:
            before = {letter.id for letter in waiting(connection)}
            append_dead_letter(connection, message, "reconsent", BadInputError("before"))
            ids += {letter.id for letter in waiting(connection)} - before
        return ids

    return database.transaction(work)


def retry_all(database: Database, lines: Sequence[Sequence[Id]]) -> Retried:
    """Retry lines until nothing of them is left to retry."""
    return sum(retry_lines(database, RECORDER, lines), Retried())


def left(database: Database) -> set[Id]:
    """Return the ids of the waiting dead letters."""
    return database.transaction(lambda c: {letter.id for letter in waiting(c)})


def recorded(database: Database, query: str) -> list[tuple[Any, ...]]:
    """Run a query."""
    return database.transaction(lambda c: c.execute(query.encode()).fetchall())
