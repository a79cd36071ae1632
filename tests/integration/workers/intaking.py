"""An intake on the embedded bus, and what it recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial

import psycopg

from reconsent.bus.postgres import PostgresConsumer, PostgresProducer
from reconsent.domain.bus import DEAD, Consumer, Message
from reconsent.domain.cloudevents import pack
from reconsent.domain.signing import Signer
from reconsent.store.postgres import Database, connect
from reconsent.workers.intake import GROUP, Intake

NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
ACCOUNT = {"property": "shop.example", "account": "ann"}
SIGNER = Signer("secret")


def event(topic: str, data: Mapping[str, object], name: str = "1") -> Message:
    """Make an event, sent now."""
    key = f"{data.get('property')}/{data.get('account')}".encode()
    value = json.dumps(data).encode()
    return pack(topic, value, source="urn:test", id=name, time=NOW, key=key)


def account(name: str = "ann", at: datetime = NOW, **fields: object) -> Message:
    """Make an account event."""
    data = ACCOUNT | {"account": name, "status": "active", "contact": "all"}
    return event("accounts", data | {"updated_at": at.isoformat()} | fields)


@contextmanager
def intake(
    database: Database,
    conninfo: str,
    *,
    now: Callable[[], datetime] = lambda: NOW,
    ahead: bool = False,
) -> Iterator[Intake]:
    """Yield an intake on the embedded bus that does not wait."""

    def consume() -> Consumer:
        return PostgresConsumer(partial(connect, conninfo, autocommit=True), GROUP)

    made = Intake(database, consume, SIGNER.address_hash, patience=0, now=now, ahead=ahead)
    with closing(made):
        yield made


def send(conninfo: str, messages: Sequence[Message]) -> None:
    """Put messages on the bus."""
    with closing(PostgresProducer(partial(connect, conninfo))) as producer:
        producer.send(messages)


def drain(reader: Intake) -> None:
    """Take everything on the bus."""
    while reader.work():
        pass


def dead_letters(conninfo: str) -> list[tuple[str, str]]:
    """Return the topic and reason of each dead letter."""
    why = {}
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(
            'SELECT topic, headers FROM bus_messages WHERE topic LIKE %s ORDER BY topic, "offset"',
            (f"%{DEAD}",),
        ).fetchall()
    return [
        (topic, why["dead-letter-exception-message"])
        for topic, headers in rows
        if (why := dict(headers))
    ]


def accounts(conninfo: str) -> list[tuple[str, str, datetime | None]]:
    """Read the accounts."""
    with psycopg.connect(conninfo) as connection:
        return connection.execute(
            "SELECT account, status, updated_at FROM accounts ORDER BY account"
        ).fetchall()
