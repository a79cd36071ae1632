"""The bus in Kafka: the same promises as the embedded one's, on a real broker."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event, Thread

import kafka  # type: ignore[import-untyped]
import psycopg
import pytest

from reconsent.adapters.bus_kafka import KafkaConsumer, KafkaProducer
from reconsent.adapters.kafka_lag import lag
from reconsent.adapters.kafka_settings import KafkaSettings
from reconsent.adapters.kafka_topics import administration, create
from reconsent.adapters.offsets import FencedError, advance
from reconsent.adapters.postgres import Connection
from reconsent.domain.bus import Batch, Message
from reconsent.domain.errors import BadInputError
from reconsent.domain.topics import LARGEST_MESSAGE, LAYOUTS
from tests.kafka.conftest import PARTITIONS, Join
from tests.kafka.events import GROUP, account, drain, message, plain, record, some


def test_what_is_sent_arrives_unchanged(
    join: Join, connection: Connection, producer: KafkaProducer
) -> None:
    """Key, value, headers, time, tombstones and the order of each key come out as they went in."""
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
        assert [m.value for m in taken if m.key == key] == [m.value for m in sent if m.key == key]


def test_a_consumer_goes_on_where_the_store_stands(
    join: Join, connection: Connection, producer: KafkaProducer
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
    join: Join, connection: Connection, producer: KafkaProducer
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
    rest = drain(members[1], connection)
    while len(rest) < 200:
        rest += drain(members[1], connection)
    assert len(rest) == 200


def test_a_dead_members_partitions_go_to_the_rest(
    join: Join, connection: Connection, producer: KafkaProducer
) -> None:
    """A member that polls no more loses its partitions, with what it had not recorded."""
    silent = join("accounts", stuck=3)
    producer.send([account(number) for number in range(100)])
    batch = some(silent)
    taken: list[Message] = []
    other = join("accounts")
    while len(taken) < 100:
        taken += drain(other, connection)
    assert len(taken) == 100
    with pytest.raises(FencedError):
        advance(connection, GROUP, batch)


def test_a_zombie_records_nothing(
    join: Join, connection: Connection, producer: KafkaProducer
) -> None:
    """A batch handed out before another member took over is refused, before and after its turn."""
    producer.send([account(number) for number in range(100)])
    zombie = join("accounts")
    late = some(zombie)
    zombie.close()
    other = join("accounts")
    batches = _all(other)
    with pytest.raises(FencedError):
        advance(connection, GROUP, late)
    connection.rollback()
    for batch in batches:
        record(connection, batch)
    with pytest.raises(FencedError):
        advance(connection, GROUP, late)


def test_groups_do_not_meet(join: Join, connection: Connection, producer: KafkaProducer) -> None:
    """Each group takes everything."""
    producer.send([account(1)])
    assert drain(join("accounts"), connection)
    assert len(some(join("accounts", group="other")).messages) == 1


def test_a_waiting_consumer_gets_what_is_sent_meanwhile(
    join: Join, producer: KafkaProducer
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
    join: Join, connection: Connection, producer: KafkaProducer
) -> None:
    """A poll with no time to wait says None only at the end, however new the consumer is."""
    for number in range(5):
        producer.send([account(number)])
        member = join("accounts", "collections", "choices")
        assert [m.key for m in drain(member, connection)] == [account(number).key]
        member.close()


def test_a_large_message_passes_and_a_larger_one_is_refused(
    join: Join, connection: Connection, producer: KafkaProducer
) -> None:
    """5 MB are no trouble; what no topic can hold is told before anything is sent."""
    producer.send([account(1, name="x" * 5_000_000), account(1)])
    with pytest.raises(BadInputError, match=r"^accounts: a message of [\d,]+ bytes; up to [^\n]+$"):
        producer.send([account(1), account(2, name="x" * LARGEST_MESSAGE)])
    with pytest.raises(BadInputError, match="a key or a value"):
        producer.send([account(1)._replace(key=None, value=None)])
    assert [len(m.value or b"") > 5_000_000 for m in drain(join("accounts"), connection)] == [
        True,
        False,
    ]


def test_offsets_of_aborted_transactions_are_stepped_over(
    join: Join, topics: KafkaSettings, connection: Connection
) -> None:
    """Nothing of a transaction that was given up arrives, and nothing of it looks like lag."""
    other = kafka.KafkaProducer(**topics.client, transactional_id=topics.topic_prefix)
    other.init_transactions()
    for end in (other.commit_transaction, other.abort_transaction):
        other.begin_transaction()
        other.send(topics.topic_prefix + "accounts", key=b"k", value=end.__name__.encode())
        other.flush()
        end()
    other.close()
    taken = drain(join("accounts"), connection)
    assert [m.value for m in taken] == [b"commit_transaction"]
    assert lag(topics, connection, GROUP, ["accounts"]) == {"accounts": 0}


def test_lag_counts_what_is_not_consumed(
    join: Join, topics: KafkaSettings, connection: Connection, producer: KafkaProducer
) -> None:
    """Lag is what was sent without what was recorded."""
    producer.send([account(number) for number in range(10)])
    assert lag(topics, connection, GROUP)["accounts"] == 10
    batch = some(join("accounts"), 3)
    record(connection, batch)
    left = 10 - len(batch.messages)
    assert lag(topics, connection, GROUP, ["accounts"]) == {"accounts": left}


def test_kafka_is_told_where_the_group_stands(
    join: Join, topics: KafkaSettings, connection: Connection, producer: KafkaProducer
) -> None:
    """Tools that read a group's offsets from Kafka see what was recorded."""
    producer.send([account(number) for number in range(50)])
    member = join("accounts")
    assert len(drain(member, connection)) == 50
    member.close()
    with administration(topics) as admin:
        offsets = admin.list_group_offsets(topics.topic_prefix + GROUP)
    told = {
        place.topic: sum(found.offset for found in of_group.values())
        for of_group in offsets.values()
        for place in of_group
    }
    assert told == {topics.topic_prefix + "accounts": 50}


def test_a_topic_made_anew_is_read_from_its_beginning(
    join: Join, topics: KafkaSettings, connection: Connection, producer: KafkaProducer
) -> None:
    """Offsets belong to a topic, not to its name."""
    producer.send([account(1, name=str(number)) for number in range(10)])
    member = join("accounts")
    assert len(drain(member, connection)) == 10
    member.close()
    with administration(topics) as admin:
        admin.delete_topics([topics.topic_prefix + "accounts"])
    while not create(topics, [replace(LAYOUTS["accounts"], partitions=PARTITIONS)]):
        time.sleep(0.1)
    with closing(KafkaProducer(topics)) as anew:
        anew.send([account(1, name=str(number)) for number in range(20)])
    assert [m.offset for m in drain(join("accounts"), connection)] == list(range(20))


def test_what_retention_took_is_stepped_over(
    join: Join,
    topics: KafkaSettings,
    connection: Connection,
    producer: KafkaProducer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A consumer that comes too late says what it has missed and goes on with the rest."""
    producer.send([account(1, name=str(number)) for number in range(10)])
    member = join("accounts")
    batch = some(member, 3)
    record(connection, batch)
    member.close()
    with administration(topics) as admin:
        place = kafka.TopicPartition(topics.topic_prefix + "accounts", batch.partition)
        admin.delete_records({place: 7})
    assert [m.offset for m in drain(join("accounts"), connection)] == [7, 8, 9]
    assert "has no message 3 any more, it keeps 7 to 10" in caplog.text
    assert lag(topics, connection, GROUP, ["accounts"]) == {"accounts": 0}


def _all(consumer: KafkaConsumer) -> list[Batch]:
    found = []
    while batch := consumer.poll(1000, 0):
        found.append(batch)
    return found


@contextmanager
def _taking(members: list[KafkaConsumer], connection: Connection) -> Iterator[list[list[Message]]]:
    """Let each member take and record what there is, on a thread of its own.

    A group agrees only while all of its members poll.
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
