"""Events for tests of the bus, and functions that take them off it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from reconsent.domain.bus import Batch, Consumer, Message
from reconsent.domain.cloudevents import pack
from reconsent.store.offsets import advance
from reconsent.store.postgres import Connection

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
GROUP = "intake"
PATIENCE = 120.0
"""Seconds: only a test that fails waits for so long."""


def account(number: int, at: datetime = NOW, **fields: str) -> Message:
    """Make an account event."""
    key = {"property": "shop.example", "account": str(number)}
    data = key | {"status": "active", "contact": "all", "updated_at": at.isoformat()}
    return message("accounts", number, data | fields)


def message(topic: str, number: int, data: Mapping[str, object] | None) -> Message:
    """Make an event about an account, sent now."""
    value = None if data is None else json.dumps(data).encode()
    key = f"shop.example/{number}".encode()
    sent = datetime.now(UTC).replace(microsecond=0)
    packed = pack(topic, value, source="urn:test", id=f"{topic} {number}", time=NOW, key=key)
    return packed._replace(timestamp=sent)


def plain(messages: Sequence[Message]) -> list[Message]:
    """Return messages as they were sent, without what the bus has added."""
    return [message._replace(partition=-1, offset=-1, appended=False) for message in messages]


def drain(consumer: Consumer, connection: Connection, limit: int = 1000) -> list[Message]:
    """Take and record batches until none is left."""
    taken: list[Message] = []
    while batch := consumer.poll(limit, 0):
        record(connection, batch)
        taken += batch.messages
    return taken


def record(connection: Connection, batch: Batch, group: str = GROUP) -> None:
    """Move the group's offset past a batch."""
    advance(connection, group, batch)
    connection.commit()


def drain_until(consumer: Consumer, connection: Connection, count: int) -> list[Message]:
    """Take and record batches until at least `count` messages came; fail after PATIENCE."""
    taken: list[Message] = []
    while len(taken) < count:
        batch = some(consumer)
        record(connection, batch)
        taken += batch.messages
    return taken


def some(consumer: Consumer, limit: int = 1000) -> Batch:
    """Return the next batch; fail if none comes within PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if batch := consumer.poll(limit, 1):
            return batch
    raise AssertionError("no batch came")


def wait_until(holds: Callable[[], object]) -> None:
    """Wait until a condition holds; fail after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "the condition does not hold"
        time.sleep(0.05)
