"""A producer can be closed while its broker is away."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event

import pytest

from reconsent.bus.kafka import producer as kafka_producer
from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.bus.kafka.topics import create
from reconsent.domain.bus import Message
from reconsent.domain.errors import OutsideError
from tests.chaos.rounds import Grounds
from tests.kafka.events import PATIENCE
from tests.kafka.layouts import of_any_time

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def settings(grounds: Grounds) -> Iterator[KafkaSettings]:
    """Use the broker alone, with a topic for this test."""
    with grounds.broker.used(alone=True):
        made = KafkaSettings(bootstrap_servers=(grounds.broker.bootstrap,), topic_prefix="let-go.")
        create(made, of_any_time(["accounts"], 1))
        yield made


def test_a_producer_can_be_closed_while_the_broker_is_away(
    grounds: Grounds, settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing does not fail, and ends a send that waits for the broker."""
    message = Message("accounts", b"shop.example/ann", b"{}", (), _NOW)
    monkeypatch.setattr(kafka_producer, "REQUEST_MS", 2_000)
    monkeypatch.setattr(kafka_producer, "_SEND_SECONDS", 5.0)
    producer = KafkaProducer(settings)
    producer.send([message])
    client, waiting = producer._client, Event()  # noqa: SLF001 -- to see that it waits
    flush = client.flush

    def flush_and_tell(timeout: float) -> None:
        waiting.set()
        flush(timeout=timeout)

    monkeypatch.setattr(client, "flush", flush_and_tell)
    grounds.broker.kill()
    with ThreadPoolExecutor(1) as beside:
        sending = beside.submit(producer.send, [message])
        assert waiting.wait(PATIENCE)
        producer.close()
        with pytest.raises(OutsideError):
            sending.result()
