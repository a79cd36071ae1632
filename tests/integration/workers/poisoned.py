"""Topics with messages that cannot be used, and an intake whose pauses tests end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
import pytest

from reconsent.bus.postgres import PostgresConsumer, PostgresProducer
from reconsent.domain.bus import DEAD, Consumer, Message
from reconsent.domain.cloudevents import pack
from reconsent.domain.signing import Signer
from reconsent.facts.read.counts import Status, status
from reconsent.facts.versions import Policies
from reconsent.store.postgres import Database, connect
from reconsent.store.stops import StoppedPartition, stopped_partitions
from reconsent.workers.intake import GROUP, Intake

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
SIGNER = Signer("secret")
AHEAD = pytest.mark.parametrize("ahead", [False, True])


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds so far."""
        return self.seconds


@contextmanager
def intake(
    database: Database, conninfo: str, clock: Clock, *, ahead: bool = False
) -> Iterator[Intake]:
    """Yield an intake on the embedded bus that does not wait."""

    def consume() -> Consumer:
        return PostgresConsumer(partial(connect, conninfo, autocommit=True), GROUP)

    with intake_of(database, consume, clock, ahead=ahead) as made:
        yield made


@contextmanager
def intake_of(
    database: Database, consume: Callable[[], Consumer], clock: Clock, *, ahead: bool = False
) -> Iterator[Intake]:
    """Yield an intake that does not wait."""
    hashed = SIGNER.address_hash
    made = Intake(database, consume, hashed, patience=0, ahead=ahead, clock=clock)
    with closing(made):
        yield made


def event(topic: str, name: str, **data: Any) -> Message:  # noqa: ANN401 -- JSON
    """Make an event about an account on the first partition."""
    fields = {"property": "shop.example", "account": name} | data
    value = json.dumps(fields).encode()
    key = f"shop.example/{name}".encode()
    made = pack(topic, value, source="urn:test", id=name, time=NOW, key=key)
    return made._replace(partition=0)


def account(name: str, **data: Any) -> Message:  # noqa: ANN401 -- JSON
    """Make an account event."""
    usual = {"status": "active", "contact": "all", "updated_at": NOW.isoformat()}
    return event("accounts", name, **usual | data)


def poison(count: int) -> list[Message]:
    """Make messages about accounts that nobody can read."""
    return [account(f"poison {number}")._replace(value=b"{") for number in range(count)]


def denial(name: str) -> Message:
    """Make a choice."""
    return event(
        "choices", name, answer="deny", data_use="marketing", decided_at=NOW.isoformat()
    )  # fmt: skip


def send(conninfo: str, messages: Sequence[Message]) -> None:
    """Put messages on the bus, on the partitions that they name."""
    with closing(PostgresProducer(partial(connect, conninfo))) as producer:
        producer.send(messages)


def drain(reader: Intake) -> None:
    """Take everything that can be taken now."""
    while reader.work():
        pass


def rows(conninfo: str, query: str) -> list[Any]:
    """Return the first column of a query."""
    with psycopg.connect(conninfo) as connection:
        return [row[0] for row in connection.execute(query.encode()).fetchall()]


def accounts(conninfo: str) -> list[str]:
    """Return the names of the accounts that events were recorded of, in order."""
    query = "SELECT account FROM accounts WHERE updated_at IS NOT NULL ORDER BY account"
    return rows(conninfo, query)


def choices(conninfo: str) -> int:
    """Count the recorded choices."""
    return len(rows(conninfo, "SELECT 1 FROM consents"))


def dead(conninfo: str) -> int:
    """Count the dead letters."""
    return len(rows(conninfo, f"SELECT 1 FROM bus_messages WHERE topic LIKE '%{DEAD}'"))  # noqa: S608


def stops(database: Database) -> list[StoppedPartition]:
    """List what is stopped."""
    return database.transaction(stopped_partitions)


def counted(database: Database) -> Status:
    """Return what `status` shows."""
    return database.transaction(lambda connection: status(connection, Policies(), {}))
