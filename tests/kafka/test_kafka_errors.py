"""Kafka is unreachable, rejects credentials, or lacks topics: one clear line each, nothing lost."""

from __future__ import annotations

import re
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from threading import Thread

import pytest
from infra.kafka.broker import PASSWORD, USER

from reconsent.bus.kafka import client as kafka_client
from reconsent.bus.kafka import consumer as kafka_consumer
from reconsent.bus.kafka import producer as kafka_producer
from reconsent.bus.kafka.consumer import KafkaConsumer
from reconsent.bus.kafka.lag import lag
from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.bus.kafka.topics import check, create
from reconsent.domain.errors import OutsideError
from reconsent.domain.topics import LAYOUTS
from reconsent.store.offsets import stored, take_over_idle
from reconsent.store.postgres import Connection
from tests.kafka.conftest import Join
from tests.kafka.events import GROUP, account, drain, message, record, some
from tests.kafka.shared_broker import SharedBroker

pytestmark = pytest.mark.engines

# The broker says these and ends the connection.
_SAID_AT_THE_END = (
    "Authentication failed: Invalid username or password", "UnsupportedSaslMechanismError",
)  # fmt: skip


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every client a short timeout."""
    monkeypatch.setattr(kafka_client, "BOOTSTRAP_MS", 2_000)
    monkeypatch.setattr(kafka_consumer, "REQUEST_MS", 2_000)
    monkeypatch.setattr(kafka_producer, "REQUEST_MS", 2_000)
    monkeypatch.setattr(kafka_producer, "_SEND_SECONDS", 3.0)


@pytest.fixture
def secured(cluster: KafkaSettings, started: SharedBroker | None) -> KafkaSettings:
    """Settings with TLS and a password."""
    if not started:
        pytest.skip(f"{cluster.address} is not the tests' own: nobody knows its passwords")
    return KafkaSettings(
        bootstrap_servers=(started.secured,),
        topic_prefix="secured.",
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        sasl_username=USER,
        sasl_password=PASSWORD,
        ca_file=started.certificate,
    )


def test_tls_and_a_password_let_us_in(
    secured: KafkaSettings, conninfo: str, connection: Connection
) -> None:
    """Everything works over TLS with SASL."""
    create(secured, [LAYOUTS["accounts"]])
    with closing(KafkaProducer(secured)) as producer:
        producer.send([account(1)])
    take_over = partial(take_over_idle, conninfo, "intake")
    with closing(KafkaConsumer(secured, take_over, "intake", ["accounts"])) as consumer:
        assert len(drain(consumer, connection)) == 1


def test_each_failed_connection_says_why(
    secured: KafkaSettings, cluster: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong address, wrong credentials and wrong TLS settings are reported in one line.

    The reason is found in a moment; a client without time for it may only say that it took too
    long. On a busy machine it may not be found: kafka-python drops an answer that it reads
    together with the end of the connection.
    """
    doors = {
        "Connection refused": replace(secured, bootstrap_servers=("127.0.0.1:1",)),
        "DNS Resolution failure": replace(secured, bootstrap_servers=("no.invalid:9092",)),
        "Authentication failed: Invalid username or password": replace(secured, sasl_password="x"),
        "UnsupportedSaslMechanismError": replace(secured, sasl_mechanism="SCRAM-SHA-512"),
        "certificate verify failed": replace(secured, ca_file=None),
        "Handshake failed": replace(secured, bootstrap_servers=cluster.bootstrap_servers),
        "(disconnected|Invalid frame length)": KafkaSettings(
            bootstrap_servers=secured.bootstrap_servers
        ),
    }
    usual = kafka_client.BOOTSTRAP_MS
    for why, door in doors.items():
        told = ""
        for patience in (1_000, usual, 3 * usual):
            monkeypatch.setattr(kafka_client, "BOOTSTRAP_MS", patience)
            with pytest.raises(OutsideError) as caught:
                check(door, LAYOUTS.values())
            told = str(caught.value)
            if re.search(why, told):
                break
        known = f"{why}|disconnected|timed out" if why in _SAID_AT_THE_END else why
        assert re.fullmatch(rf"Kafka at {door.address}: [^\n]*({known})[^\n]*", told)


def test_missing_topics_are_named(
    settings: KafkaSettings, conninfo: str, cluster: KafkaSettings
) -> None:
    """Producers and consumers say which topics are missing, and do not make them."""
    take_over = partial(take_over_idle, conninfo, "intake")
    line = f"Kafka at {cluster.address}: missing topics: {settings.topic_prefix}accounts"
    with pytest.raises(OutsideError, match=f"^{line}; create them with `reconsent topics create`$"):
        KafkaConsumer(settings, take_over, "intake", ["accounts"])
    with closing(KafkaProducer(settings)) as producer, pytest.raises(OutsideError, match=line):
        producer.send([account(1)])
    assert len(check(settings, LAYOUTS.values())) == len(LAYOUTS)


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_crashes_loses_nothing(
    join: Join,
    broker: SharedBroker,
    topics: KafkaSettings,
    connection: Connection,
    producer: KafkaProducer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While it is down each call says so; restarted on the same data, everything continues."""
    first = [account(number) for number in range(50)]
    producer.send(first)
    member = join("accounts")
    record(connection, some(member, 10))
    broker.kill()
    monkeypatch.setattr(kafka_consumer, "_LONGEST_WAIT", 2.0)
    try:
        with pytest.raises(OutsideError, match=r"^Kafka at [^\n]+: Connection refused$"):
            producer.send([account(50)])
        with pytest.raises(OutsideError, match=r"^Kafka at [^\n]+: Connection refused$"):
            drain(member, connection)
        member.close()
        monkeypatch.undo()
    finally:
        broker.start()
    producer.send([message("accounts", 51, None)])
    drain(join("accounts"), connection)
    assert lag(topics, partial(stored, connection, GROUP), ["accounts"]) == {"accounts": 0}
    afresh = join("accounts", group="afresh")
    kept: set[bytes | None] = set()
    while batch := afresh.poll(1000, 0):
        kept |= {m.key for m in batch.messages}
    assert kept >= {m.key for m in first} | {b"shop.example/51"}


def test_a_short_outage_is_only_a_delay(
    join: Join, broker: SharedBroker, connection: Connection, producer: KafkaProducer
) -> None:
    """Producers and consumers continue; nothing is lost or out of order."""
    member = join("accounts")
    sent = [account(number % 50, name=f"{number:05}") for number in range(2_000)]
    producer.send(sent[:50])

    def send() -> None:
        start = 0
        while start < len(sent):
            with suppress(OutsideError):
                producer.send(sent[start : start + 50])
                start += 50

    thread = Thread(target=send)
    thread.start()
    taken = drain(member, connection)
    broker.kill()
    broker.start()
    wanted = {m.value for m in sent}
    while thread.is_alive() or {m.value for m in taken} != wanted:
        with suppress(OutsideError):
            while batch := member.poll(1000, 0):
                record(connection, batch)
                taken += batch.messages
    thread.join()
    places = [(m.partition, m.offset) for m in taken]
    assert len(set(places)) == len(places)
