"""What every bus promises, whatever carries the messages: run against each of them.

A module with a subclass has the fixtures `join`, `producer`, `lag` and `connection`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Protocol

import psycopg
import pytest

from reconsent.domain.bus import Batch, Consumer, Message, Producer
from reconsent.store.offsets import FencedError, advance
from reconsent.store.postgres import Connection
from tests.kafka.events import GROUP, account, drain, message, plain, record, some

PARTITIONS = 4


class Join(Protocol):
    """Makes consumers."""

    def __call__(self, *topics: str, group: str = GROUP) -> Consumer:
        """Make a consumer of some topics."""


Lag = Callable[[], dict[str, int]]
"""Counts what GROUP has not consumed of each input topic."""


class BusContract:
    """Promises of a bus whose topics about accounts have PARTITIONS partitions."""

    def test_what_is_sent_arrives_unchanged(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """Key, value, headers, time, tombstones and each key's order come out as they went in."""
        odd = Message(
            "accounts",
            None,
            b"\0\xff",
            (("any", b"\0\xff\xe5"), ("any", b""), ("ü", "ø🙂".encode())),
            datetime(2026, 11, 1, 8, 0, 0, 123000, UTC),
        )
        sent = [account(number % 7, name=str(number)) for number in range(100)]
        sent += [odd, message("accounts", 3, None)]
        producer.send(sent[:40])
        producer.send(sent[40:])
        taken = plain(drain(join("accounts"), connection, limit=9))
        assert sorted(taken, key=repr) == sorted(sent, key=repr)
        for number in range(7):
            key = account(number).key
            of_key = [m.value for m in sent if m.key == key]
            assert [m.value for m in taken if m.key == key] == of_key

    def test_a_consumer_goes_on_where_the_store_stands(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """What was handed out and not recorded is handed out again; what was recorded is not."""
        producer.send([account(1, name=str(number)) for number in range(10)])
        member = join("accounts")
        one, two = some(member, 4), some(member, 4)
        assert (one.start_offset, one.next_offset, two.start_offset) == (0, 4, 4)
        record(connection, one)
        advance(connection, GROUP, two)
        connection.rollback()
        member.close()
        taken = drain(join("accounts"), connection)
        assert [m.offset for m in taken] == [4, 5, 6, 7, 8, 9]

    def test_members_share_partitions(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """A newcomer gets its share, nothing is taken twice, and one that leaves gives its back."""
        first = join("accounts")
        assert first.poll(10, 0) is None
        members = [first, join("accounts")]
        waves = 0
        with _taking(members, connection) as taken:
            shares: list[int] = []
            while shares != [PARTITIONS // 2] * 2:
                before = [len(part) for part in taken]
                producer.send([account(number) for number in range(200)])
                waves += 1
                while sum(map(len, taken)) < 200 * waves:
                    time.sleep(0.05)
                news = [part[start:] for part, start in zip(taken, before, strict=True)]
                shares = [len({m.partition for m in part}) for part in news]
        keys = Counter(m.key for part in taken for m in part)
        assert keys == {account(number).key: waves for number in range(200)}
        first.close()
        producer.send([account(number) for number in range(200)])
        rest: list[Message] = []
        while len(rest) < 200:
            rest += drain(members[1], connection)
        assert len(rest) == 200

    def test_a_zombie_records_nothing(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """A batch handed out before another one took over is refused, before and after its turn."""
        producer.send([account(number) for number in range(100)])
        zombie = join("accounts")
        late = some(zombie)
        zombie.close()
        batches = _all(join("accounts"))
        with pytest.raises(FencedError):
            advance(connection, GROUP, late)
        connection.rollback()
        for batch in batches:
            record(connection, batch)
        with pytest.raises(FencedError):
            advance(connection, GROUP, late)

    def test_groups_do_not_meet(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """Each group takes everything."""
        producer.send([account(1)])
        assert drain(join("accounts"), connection)
        assert len(some(join("accounts", group="other")).messages) == 1

    def test_a_waiting_consumer_gets_what_is_sent_meanwhile(
        self, join: Join, producer: Producer
    ) -> None:
        """A poll that waits returns before its time is over."""
        member = join("accounts")
        found: list[Batch | None] = []
        thread = Thread(target=lambda: found.append(member.poll(10, 60)))
        thread.start()
        producer.send([account(1)])
        thread.join(30)
        assert found
        assert found[0]

    def test_nothing_is_left_when_a_consumer_finds_nothing(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """A poll with no time to wait says None only at the end, however new the consumer is."""
        for number in range(3):
            producer.send([account(number)])
            member = join("accounts", "collections", "choices")
            assert [m.key for m in drain(member, connection)] == [account(number).key]
            member.close()

    def test_lag_counts_what_is_not_consumed(
        self, join: Join, lag: Lag, connection: Connection, producer: Producer
    ) -> None:
        """Lag is what was sent without what was recorded; topics without messages have none."""
        nothing = {"policy-versions": 0, "collections": 0, "choices": 0, "mail-events": 0}
        producer.send([account(number) for number in range(10)])
        assert lag() == nothing | {"accounts": 10}
        batch = some(join("accounts"), 3)
        record(connection, batch)
        assert lag() == nothing | {"accounts": 10 - len(batch.messages)}


def _all(consumer: Consumer) -> list[Batch]:
    found = []
    while batch := consumer.poll(1000, 0):
        found.append(batch)
    return found


@contextmanager
def _taking(members: list[Consumer], connection: Connection) -> Iterator[list[list[Message]]]:
    """Let each member take and record what there is, on a thread of its own.

    A group of Kafka's agrees only while all of its members poll.
    """
    taken: list[list[Message]] = [[] for _ in members]
    stop = Event()

    def run(at: int) -> None:
        with psycopg.connect(connection.info.dsn) as own:
            while not stop.is_set():
                taken[at] += drain(members[at], own)

    threads = [Thread(target=run, args=(at,)) for at in range(len(members))]
    for thread in threads:
        thread.start()
    try:
        yield taken
    finally:
        stop.set()
        for thread in threads:
            thread.join()
