"""Events for the tests, and how they are taken off the bus."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from reconsent.domain.bus import Batch, Consumer, Message
from reconsent.domain.cloudevents import pack
from reconsent.store.offsets import advance
from reconsent.store.postgres import Connection

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
GROUP = "intake"
PATIENCE = 60.0


def account(number: int, at: datetime = NOW, **fields: str) -> Message:
    """Make an account's event."""
    key = {"property": "shop.example", "account": str(number)}
    data = key | {"status": "active", "contact": "all", "updated_at": at.isoformat()}
    return message("accounts", number, data | fields)


def message(topic: str, number: int, data: Mapping[str, object] | None) -> Message:
    """Make an event of an account, sent now."""
    value = None if data is None else json.dumps(data).encode()
    key = f"shop.example/{number}".encode()
    sent = datetime.now(UTC).replace(microsecond=0)
    packed = pack(topic, value, source="urn:test", id=f"{topic} {number}", time=NOW, key=key)
    return packed._replace(timestamp=sent)


def plain(messages: Sequence[Message]) -> list[Message]:
    """Return messages as they were before they got a place."""
    return [message._replace(partition=-1, offset=-1) for message in messages]


def drain(consumer: Consumer, connection: Connection, limit: int = 1000) -> list[Message]:
    """Take and record whatever there is."""
    taken: list[Message] = []
    while batch := consumer.poll(limit, 0):
        record(connection, batch)
        taken += batch.messages
    return taken


def record(connection: Connection, batch: Batch, group: str = GROUP) -> None:
    """Record a batch as a service does that keeps nothing of it."""
    advance(connection, group, batch)
    connection.commit()


def some(consumer: Consumer, limit: int = 1000) -> Batch:
    """Return the next batch, which has to come."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if batch := consumer.poll(limit, 1):
            return batch
    raise AssertionError("no batch came")
