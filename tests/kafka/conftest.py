"""A real broker for the session, and topics of its own for each test."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest
from infra.kafka.broker import Broker

with warnings.catch_warnings():
    # What the library uses of importlib is deprecated in Python 3.11 and no longer later.
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka  # type: ignore[import-untyped]  # noqa: F401

from reconsent.adapters.bus_kafka import KafkaConsumer, KafkaProducer
from reconsent.adapters.kafka_settings import KafkaSettings, kafka_settings
from reconsent.adapters.kafka_topics import create
from reconsent.adapters.postgres import Connection, connect
from reconsent.domain.topics import LAYOUTS
from tests.kafka.events import GROUP

PARTITIONS = 4


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and one fault of the library's."""
    config.addinivalue_line("markers", "kafka: needs a Kafka broker: Java, Maven or one that runs")
    # The library leaves sockets that could not connect to the collector.
    config.addinivalue_line("filterwarnings", "ignore:unclosed <(socket|ssl):ResourceWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies beside this file."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("kafka")


@pytest.fixture(scope="session")
def given() -> KafkaSettings | None:
    """The Kafka of KAFKA_BOOTSTRAP_SERVERS, where there is one."""
    return kafka_settings(os.environ)  # noqa: TID251 -- what the machine offers the tests


@pytest.fixture(scope="session")
def started(
    given: KafkaSettings | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker | None]:
    """A broker for the session, unless one is given."""
    if given:
        yield None
        return
    with Broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def broker(started: Broker | None) -> Broker:
    """The session's own broker, with which one may do anything, if it runs again in the end."""
    if not started:
        pytest.skip("KAFKA_BOOTSTRAP_SERVERS names a broker that is not the tests' own")
    return started


@pytest.fixture(scope="session")
def cluster(given: KafkaSettings | None, started: Broker | None) -> KafkaSettings:
    """Where the Kafka is."""
    if given:
        return given
    assert started
    return KafkaSettings(bootstrap_servers=(started.bootstrap,))


@pytest.fixture
def settings(cluster: KafkaSettings) -> KafkaSettings:
    """The session's broker with names of topics that no other test uses; none is made yet."""
    return replace(cluster, topic_prefix=f"test-{uuid.uuid4().hex[:12]}.")


@pytest.fixture
def topics(settings: KafkaSettings) -> KafkaSettings:
    """Make every topic, with few partitions."""
    layouts = [
        replace(layout, partitions=min(layout.partitions, PARTITIONS))
        for layout in LAYOUTS.values()
    ]
    create(settings, layouts)
    return settings


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """A connection of the service's own."""
    with connect(database) as opened:
        yield opened


@pytest.fixture
def producer(topics: KafkaSettings) -> Iterator[KafkaProducer]:
    """A producer."""
    with closing(KafkaProducer(topics)) as made:
        yield made


class Join(Protocol):
    """Makes consumers."""

    def __call__(self, *names: str, group: str = GROUP, stuck: float = 10) -> KafkaConsumer:
        """Make a consumer of some topics."""


@pytest.fixture
def join(topics: KafkaSettings, database: str) -> Iterator[Join]:
    """What makes consumers, and closes them in the end."""
    with ExitStack() as stack:

        def made(*names: str, group: str = GROUP, stuck: float = 10) -> KafkaConsumer:
            open_one = partial(connect, database, autocommit=True)
            consumer = KafkaConsumer(topics, open_one, group, names, session=2, stuck=stuck)
            return stack.enter_context(closing(consumer))

        yield made
