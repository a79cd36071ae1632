"""The Kafka implementation of the bus, on a real broker."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import kafka  # type: ignore[import-untyped]
import pytest

from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.bus.kafka.topics import administration, create
from reconsent.domain.bus import RECORDED_AT_ONCE
from reconsent.domain.errors import BadInputError
from reconsent.domain.topics import LARGEST_MESSAGE, LAYOUTS
from reconsent.store.offsets import FencedError, advance
from reconsent.store.postgres import Connection
from tests.bus_contract import PARTITIONS, BusContract, Lag
from tests.kafka.conftest import Join
from tests.kafka.events import GROUP, account, drain, drain_until, record, some, wait_until


class TestKafkaBus(BusContract):
    """Kafka keeps the contract of every bus."""

    dates_messages = True


def test_a_dead_members_partitions_go_to_the_rest(
    join: Join, connection: Connection, producer: KafkaProducer
) -> None:
    """A member that stops polling loses its partitions, and its open batch is fenced."""
    silent = join("accounts", stuck=3)
    producer.send([account(number) for number in range(100)])
    batch = some(silent)
    assert len(drain_until(join("accounts"), connection, 100)) == 100
    with pytest.raises(FencedError):
        advance(connection, GROUP, batch)


def test_a_large_message_passes_and_a_larger_one_is_refused(
    join: Join, connection: Connection, producer: KafkaProducer
) -> None:
    """5 MB pass; a message that no topic can hold is refused before anything is sent."""
    producer.send([account(1, name="x" * 5_000_000), account(1)])
    with pytest.raises(BadInputError, match=r"^accounts: the message has [\d,]+ bytes; [^\n]+$"):
        producer.send([account(1), account(2, name="x" * LARGEST_MESSAGE)])
    with pytest.raises(BadInputError, match="a key or a value"):
        producer.send([account(1)._replace(key=None, value=None)])
    assert [len(m.value or b"") > 5_000_000 for m in drain(join("accounts"), connection)] == [
        True,
        False,
    ]


def test_offsets_of_aborted_transactions_are_skipped(
    join: Join, lag: Lag, topics: KafkaSettings, connection: Connection
) -> None:
    """No message of an aborted transaction arrives, and none counts as lag."""
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
    assert lag()["accounts"] == 0


def test_the_groups_offsets_are_committed_to_kafka(
    join: Join, topics: KafkaSettings, connection: Connection, producer: KafkaProducer
) -> None:
    """Tools that read a group's offsets from Kafka see what was recorded."""
    producer.send([account(number) for number in range(50)])
    member = join("accounts")
    assert len(drain(member, connection)) == 50
    # Polls that find nothing, after which the last batches count as recorded.
    for _ in range(RECORDED_AT_ONCE):
        assert member.poll(1, 0) is None
    member.close()
    with administration(topics) as admin:
        offsets = admin.list_group_offsets(topics.topic_prefix + GROUP)
    committed = {
        place.topic: sum(found.offset for found in of_group.values())
        for of_group in offsets.values()
        for place in of_group
    }
    assert committed == {topics.topic_prefix + "accounts": 50}


def test_a_topic_created_again_is_read_from_its_beginning(
    join: Join, topics: KafkaSettings, connection: Connection, producer: KafkaProducer
) -> None:
    """Offsets belong to a topic, not to its name."""
    producer.send([account(1, name=str(number)) for number in range(10)])
    member = join("accounts")
    assert len(drain(member, connection)) == 10
    member.close()
    with administration(topics) as admin:
        admin.delete_topics([topics.topic_prefix + "accounts"])
    layout = replace(LAYOUTS["accounts"], partitions=PARTITIONS)
    wait_until(lambda: create(topics, [layout]))
    with closing(KafkaProducer(topics)) as new:
        new.send([account(1, name=str(number)) for number in range(20)])
    assert [m.offset for m in drain(join("accounts"), connection)] == list(range(20))


def test_messages_removed_by_retention_are_skipped(
    join: Join,
    lag: Lag,
    topics: KafkaSettings,
    connection: Connection,
    producer: KafkaProducer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The consumer logs which messages are missing and continues with the rest."""
    producer.send([account(1, name=str(number)) for number in range(10)])
    member = join("accounts")
    batch = some(member, 3)
    record(connection, batch)
    member.close()
    with administration(topics) as admin:
        place = kafka.TopicPartition(topics.topic_prefix + "accounts", batch.partition)
        admin.delete_records({place: 7})
    assert [m.offset for m in drain(join("accounts"), connection)] == [7, 8, 9]
    assert "no longer has message 3, only 7 to 10; continuing from 7" in caplog.text
    assert lag()["accounts"] == 0
