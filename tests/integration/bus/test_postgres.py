"""The bus in PostgreSQL, on a real server."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from threading import Thread

import pytest

from reconsent.bus import postgres as bus_postgres
from reconsent.bus.postgres import PostgresProducer
from reconsent.domain.bus import Batch
from reconsent.domain.errors import OutsideError
from reconsent.store.log import append, append_dead_letter
from reconsent.store.offsets import FencedError, advance, take_over
from reconsent.store.postgres import Connection, connect
from tests.bus_contract import PARTITIONS, BusContract, Join
from tests.integration.bus.stored import stored
from tests.kafka.events import GROUP, account, drain, message


class TestPostgresBus(BusContract):
    """PostgreSQL keeps the contract of every bus."""


def test_concurrent_producers_leave_no_gap(
    join: Join, conninfo: str, connection: Connection
) -> None:
    """Concurrent producers leave no gap in the offsets and lose no message, on new topics."""
    producers = [PostgresProducer(partial(connect, conninfo)) for _ in range(4)]

    def send(producer: PostgresProducer, first: int) -> None:
        for number in range(first, first + 300, 10):
            producer.send(
                [account(number + step) for step in range(5)]
                + [message("collections", number + step, {}) for step in range(5)]
            )

    threads = [Thread(target=send, args=(p, i * 1000)) for i, p in enumerate(producers)]
    for thread in threads:
        thread.start()
    member = join("accounts", "collections")
    taken = []
    while any(thread.is_alive() for thread in threads):
        taken += drain(member, connection, limit=13)
    taken += drain(member, connection)
    for made in producers:
        made.close()
    assert len(taken) == 4 * 30 * 10
    places = [(m.topic, m.partition, m.offset) for m in taken]
    ends = {place[:2]: 0 for place in places}
    for topic, partition, offset in places:
        assert offset == ends[topic, partition]
        ends[topic, partition] += 1


def test_a_partition_with_an_open_batch_is_not_given_back(
    join: Join, connection: Connection, producer: PostgresProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new member waits until the open batch is recorded."""
    monkeypatch.setattr(bus_postgres, "_SHARE_SECONDS", 0)
    producer.send([account(number) for number in range(100)])
    first = join("accounts")
    batches = [first.poll(1000, 0) for _ in range(PARTITIONS)]
    second = join("accounts")
    first.poll(10, 0)
    assert second.poll(10, 0) is None
    for batch in batches:
        assert batch
        advance(connection, GROUP, batch)
    connection.commit()
    first.poll(10, 0)
    second.poll(10, 0)
    producer.send([account(number) for number in range(100)])
    assert len(drain(second, connection)) + len(drain(first, connection)) == 100


def test_a_suspended_consumer_loses_its_partitions(
    join: Join, connection: Connection, producer: PostgresProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one takes them once their time has passed; what the first one has is fenced."""
    monkeypatch.setattr(bus_postgres, "_SHARE_SECONDS", 0)
    producer.send([account(number) for number in range(100)])
    suspended = join("accounts")
    batch = suspended.poll(1000, 0)
    assert batch
    connection.execute("UPDATE leases SET until = clock_timestamp() WHERE holder IS NOT NULL")
    connection.commit()
    assert len(drain(join("accounts"), connection)) == 100
    with pytest.raises(FencedError):
        advance(connection, GROUP, batch)
    connection.rollback()
    with pytest.raises(OutsideError, match=r"^bus: this consumer was suspended"):
        suspended.poll(1, 0)


def test_no_batch_is_recorded_twice_or_out_of_turn(connection: Connection) -> None:
    """A batch is recorded only at the stored offset, whatever gaps it spans."""
    epoch, _ = take_over(connection, GROUP, "accounts", 0)

    def batch(start: int, end: int) -> Batch:
        return Batch(
            topic="accounts",
            partition=0,
            epoch=epoch,
            start_offset=start,
            next_offset=end,
            messages=(),
        )

    advance(connection, GROUP, batch(0, 17))
    for wrong in (batch(0, 17), batch(16, 20), batch(18, 20)):
        with pytest.raises(FencedError):
            advance(connection, GROUP, wrong)
    advance(connection, GROUP, batch(17, 18))


def test_dead_letters_have_the_usual_headers(
    join: Join, connection: Connection, producer: PostgresProducer
) -> None:
    """A dead letter is the message itself, with headers for its origin and the error."""
    producer.send([account(1)])
    batch = join("accounts").poll(10, 0)
    assert batch
    message = batch.messages[0]
    advance(connection, GROUP, batch)
    append_dead_letter(connection, message, GROUP, ValueError("wrong"))
    connection.commit()
    (dead,) = drain(join("accounts.dead"), connection)
    headers = dict(dead.headers)
    assert (dead.key, dead.value) == (message.key, message.value)
    assert dead.headers[: len(message.headers)] == message.headers
    assert headers["dead-letter-original-topic"] == b"accounts"
    assert headers["dead-letter-original-partition"] == str(message.partition).encode()
    assert headers["dead-letter-original-offset"] == b"0"
    assert (
        datetime.fromisoformat(headers["dead-letter-original-timestamp"].decode())
        == message.timestamp
    )
    assert headers["dead-letter-consumer-group"] == b"intake"
    assert headers["dead-letter-exception-class"] == b"ValueError"
    assert headers["dead-letter-exception-message"] == b"wrong"


def test_an_append_rolled_back_was_not_sent(join: Join, connection: Connection) -> None:
    """An append is part of the caller's transaction."""
    append(connection, [account(1)])
    connection.rollback()
    append(connection, [account(2)])
    connection.commit()
    taken = drain(join("accounts"), connection)
    assert [(m.key, m.offset) for m in taken] == [(b"shop.example/2", 0)]


def test_a_lost_connection_is_an_outside_error(
    join: Join, connection: Connection, producer: PostgresProducer
) -> None:
    """A lost connection is reported in one line; the next send connects again."""
    producer.send([account(1)])
    member = join("accounts")
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    with pytest.raises(OutsideError, match=r"^bus: [^\n]+$"):
        producer.send([account(2)])
    with pytest.raises(OutsideError, match=r"^bus: [^\n]+$"):
        member.poll(1, 0)
    producer.send([account(3)])
    assert len(stored(connection, "accounts")) == 2
