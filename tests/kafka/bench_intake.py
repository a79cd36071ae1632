"""Events a second from Kafka into facts, beside a bare poll loop over the same messages.

Not collected by itself: `pytest tests/kafka/bench_intake.py -s`.
"""

# ruff: noqa: SLF001, T201 -- measures parts from within, and prints what it finds
from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import NamedTuple

import psycopg
import pytest

from reconsent import intake
from reconsent.adapters.bus_kafka import KafkaConsumer, KafkaProducer
from reconsent.adapters.kafka_settings import KafkaSettings
from reconsent.adapters.postgres import connect, pool
from reconsent.adapters.signing import Signer
from tests.kafka.events import account

EVENTS = 40_000
ONE_BY_ONE = 1_000
TOPIC = ["accounts"]


def test_intake_over_kafka(
    topics: KafkaSettings,
    make_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Print rates; the batch's size changes nothing but them."""
    events = [
        account(number, email=f"{number}@example.com", locale="en") for number in range(EVENTS)
    ]
    with closing(KafkaProducer(topics)) as producer:
        producer.send(events[:10])
        began = now()
        for start in range(0, EVENTS, 5_000):
            producer.send(events[start : start + 5_000])
        tell("producer, 5,000 at a time", EVENTS, since(began))
    bare = min(bare_loop(topics, make_database()) for _ in range(2))
    tell("bare poll loop", EVENTS, bare)
    ours = min(consumer_alone(topics, make_database()) for _ in range(2))
    tell("our consumer alone", EVENTS, ours, bare)
    for batch in (500, 2_000, 10_000):
        monkeypatch.setattr(intake, "BATCH", batch)
        database = make_database()
        tell(f"intake, batches of {batch:,}, new", EVENTS, into_facts(topics, database), bare)
        forget_offsets(database)
        tell(f"intake, batches of {batch:,}, known", EVENTS, into_facts(topics, database), bare)
    monkeypatch.setattr(intake, "BATCH", 1)
    slow = into_facts(topics, make_database(), ONE_BY_ONE)
    tell("intake, one by one", ONE_BY_ONE, slow, bare.times(ONE_BY_ONE / EVENTS))


class Spent(NamedTuple):
    """Seconds: by the clock, and of this process's work, which other programs delay less."""

    clock: float
    work: float

    def times(self, factor: float) -> Spent:
        """Return what so many times the work would take."""
        return Spent(self.clock * factor, self.work * factor)


def now() -> Spent:
    """Return the time."""
    return Spent(time.perf_counter(), time.process_time())


def since(began: Spent) -> Spent:
    """Return the time spent since."""
    return Spent(*(here - there for here, there in zip(now(), began, strict=True)))


def tell(what: str, events: int, spent: Spent, bare: Spent | None = None) -> None:
    """Print rates."""
    ratio = f" {bare.clock / spent.clock:6.2f} of the bare loop's" if bare else ""
    rates = f"{events / spent.clock:9,.0f} events/s {events / spent.work:9,.0f} by own work"
    print(f"{what:32} {rates}{ratio}")


def consumer(settings: KafkaSettings, database: str) -> KafkaConsumer:
    """Join the group whose offsets are in a database."""
    open_one = partial(connect, database, autocommit=True)
    return KafkaConsumer(settings, open_one, intake.GROUP, TOPIC)


def bare_loop(settings: KafkaSettings, database: str) -> Spent:
    """Poll the library's own consumer, as ours is set up, for all messages; return what it took."""
    with closing(consumer(settings, database)) as ours:
        warm_up(ours)
        client = ours._client
        seen = len(ours._fetched) and sum(len(records) for _, records in ours._fetched)
        began = now()
        left = EVENTS - seen
        while left > 0:
            found = client.poll(timeout_ms=1000, max_records=10_000)
            left -= sum(len(records) for records in found.values())
        return since(began).times(EVENTS / (EVENTS - seen))


def warm_up(ours: KafkaConsumer) -> None:
    """Join the group and take partitions over, without handing anything out."""
    while not ours._partitions.held:
        ours._fetch(1, 0)
        ours._partitions.follow()


def consumer_alone(settings: KafkaSettings, database: str) -> Spent:
    """Take all messages as batches and do nothing with them; return what it took."""
    with closing(consumer(settings, database)) as ours:
        warm_up(ours)
        began = now()
        left = EVENTS
        while left > 0:
            batch = ours.poll(10_000, 1)
            left -= len(batch.messages) if batch else 0
        return since(began)


def into_facts(settings: KafkaSettings, database: str, events: int = EVENTS) -> Spent:
    """Record messages until so many are; return what it took."""
    with pool(database, size=2) as connections, closing(consumer(settings, database)) as ours:
        warm_up(ours)
        reader = intake.Intake(connections, lambda: ours, Signer("s").address_hash)
        began = now()
        while recorded(ours) < events:
            reader.work()
        return since(began)


def recorded(ours: KafkaConsumer) -> int:
    """Count what was handed out; each batch of it is recorded before the next."""
    return sum(held.position for held in ours._partitions.held.values())


def forget_offsets(database: str) -> None:
    """Let everything come again."""
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM consumer_offsets")
