"""The contract of every bus: a test class that runs against each implementation.

A module with a subclass provides the fixtures `join`, `producer`, `lag` and `connection`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event, Thread
from typing import ClassVar, Protocol

import psycopg
import pytest

from reconsent.domain.bus import Batch, Consumer, Message, Producer
from reconsent.store.offsets import FencedError, advance
from reconsent.store.postgres import Connection
from tests.kafka.events import (
    GROUP,
    NOW,
    PATIENCE,
    account,
    drain,
    drain_until,
    message,
    plain,
    record,
    some,
    wait_until,
)

PARTITIONS = 4


class Join(Protocol):
    """A factory of consumers."""

    def __call__(self, *topics: str, group: str = GROUP) -> Consumer:
        """Make a consumer of topics."""


Lag = Callable[[], dict[str, int]]
"""Counts the messages of each input topic that GROUP has not consumed."""


class BusContract:
    """Tests of a bus whose topics about accounts have PARTITIONS partitions."""

    dates_messages: ClassVar = False
    """Whether the bus, rather than who sends, says when a message came in."""

    def _sorted(self, messages: Sequence[Message]) -> list[Message]:
        """Return messages to be compared: without their times, if they are the bus's own."""
        if self.dates_messages:
            messages = [message._replace(timestamp=NOW) for message in messages]
        return sorted(messages, key=repr)

    def test_what_is_sent_arrives_unchanged(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """Keys, values, headers, times, tombstones and the order per key are preserved."""
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
        if self.dates_messages:
            assert all(message.timestamp > odd.timestamp for message in taken)
        assert self._sorted(taken) == self._sorted(sent)
        for number in range(7):
            key = account(number).key
            of_key = [m.value for m in sent if m.key == key]
            assert [m.value for m in taken if m.key == key] == of_key

    def test_a_consumer_resumes_at_the_stored_offset(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """Only what was handed out and not recorded is handed out again."""
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

    def test_a_batch_that_is_put_back_is_handed_out_again(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """So is what follows it, also what was handed out already; what was recorded is not."""
        producer.send([account(1, name=str(number)) for number in range(10)])
        member = join("accounts")
        record(connection, some(member, 2))
        one, two = some(member, 2), some(member, 2)
        assert (one.start_offset, two.start_offset) == (2, 4)
        member.put_back(one)
        assert [m.offset for m in drain(member, connection)] == [2, 3, 4, 5, 6, 7, 8, 9]

    def test_a_batch_can_be_put_back_in_part(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """The consumer begins again at what was not recorded of it."""
        producer.send([account(1, name=str(number)) for number in range(6)])
        member = join("accounts")
        batch = some(member)
        record(connection, replace(batch, next_offset=4, messages=batch.messages[:4]))
        member.put_back(replace(batch, start_offset=4, messages=batch.messages[4:]))
        assert [m.offset for m in drain(member, connection)] == [4, 5]

    def test_a_topic_that_is_left_alone_keeps_its_messages(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """The others are read to their ends; later it is read from where it was left."""
        sent = [account(number, name="x") for number in range(20)]
        said = [message("choices", number, {"number": number}) for number in range(20)]
        producer.send([*sent, *said])
        member = join("accounts", "choices")
        taken: list[Message] = []
        while not {m.topic for m in taken} & {"accounts"}:
            batch = some(member, 1)
            record(connection, batch)
            taken += batch.messages
        while batch_of_others := member.poll(3, 0, {"accounts"}):
            record(connection, batch_of_others)
            taken += batch_of_others.messages
        assert len([m for m in taken if m.topic == "accounts"]) == 1
        assert len([m for m in taken if m.topic == "choices"]) == 20
        taken += drain(member, connection)
        assert self._sorted(plain(taken)) == self._sorted([*sent, *said])

    def test_members_share_partitions(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """A new member gets its share, a leaving one returns it, and nothing is taken twice."""
        first = join("accounts")
        assert first.poll(10, 0) is None
        members = [first, join("accounts")]
        sent: list[Message] = []
        with _taking(members, connection) as taken:

            def is_shared() -> bool:
                """Send a wave of messages; tell whether each member took half the partitions."""
                before = [len(part) for part in taken]
                wave = [account(number) for number in range(200)]
                producer.send(wave)
                sent.extend(wave)
                wait_until(lambda: sum(map(len, taken)) >= len(sent))
                news = [part[start:] for part, start in zip(taken, before, strict=True)]
                return [len({m.partition for m in part}) for part in news] == [PARTITIONS // 2] * 2

            wait_until(is_shared)
        keys = Counter(m.key for part in taken for m in part)
        assert keys == Counter(m.key for m in sent)
        first.close()
        producer.send([account(number) for number in range(200)])
        assert len(drain_until(members[1], connection, 200)) == 200

    def test_a_zombie_records_nothing(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """A batch handed out before a takeover is fenced, before and after its turn."""
        producer.send([account(number) for number in range(100)])
        zombie = join("accounts")
        stale = some(zombie)
        zombie.close()
        batches = _all(join("accounts"))
        with pytest.raises(FencedError):
            advance(connection, GROUP, stale)
        connection.rollback()
        for batch in batches:
            record(connection, batch)
        with pytest.raises(FencedError):
            advance(connection, GROUP, stale)

    def test_groups_are_independent(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """Each group gets every message."""
        producer.send([account(1)])
        assert drain(join("accounts"), connection)
        assert len(some(join("accounts", group="other")).messages) == 1

    def test_a_waiting_consumer_gets_what_is_sent_meanwhile(
        self, join: Join, producer: Producer
    ) -> None:
        """A waiting poll returns as soon as a message arrives."""
        member = join("accounts")
        found: list[Batch | None] = []
        thread = Thread(target=lambda: found.append(member.poll(10, 10 * PATIENCE)))
        thread.start()
        producer.send([account(1)])
        thread.join(PATIENCE)
        assert found
        assert found[0]

    def test_a_poll_without_timeout_returns_none_only_at_the_end(
        self, join: Join, connection: Connection, producer: Producer
    ) -> None:
        """None means that nothing is left, even if the consumer has just joined."""
        for number in range(3):
            producer.send([account(number)])
            member = join("accounts", "collections", "choices")
            assert [m.key for m in drain(member, connection)] == [account(number).key]
            member.close()

    def test_lag_counts_what_is_not_consumed(
        self, join: Join, lag: Lag, connection: Connection, producer: Producer
    ) -> None:
        """Lag is what was sent less what was recorded; a topic without messages has none."""
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
    """Let each member take and record messages in its own thread.

    A Kafka group rebalances only while all of its members poll.
    """
    taken: list[list[Message]] = [[] for _ in members]
    stop = Event()

    def run(at: int) -> None:
        with psycopg.connect(connection.info.dsn) as own:
            while not stop.is_set():
                if batch := members[at].poll(1000, 0):
                    record(own, batch)
                    taken[at] += batch.messages

    threads = [Thread(target=run, args=(at,)) for at in range(len(members))]
    for thread in threads:
        thread.start()
    try:
        yield taken
    finally:
        stop.set()
        for thread in threads:
            thread.join()
