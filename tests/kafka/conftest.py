"""A real broker for the run, and separate topics for each test."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from reconsent.bus.kafka import lag as kafka_lag
from reconsent.bus.kafka.consumer import KafkaConsumer
from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings, kafka_settings
from reconsent.bus.kafka.topics import create
from reconsent.domain.topics import LAYOUTS
from reconsent.store.offsets import stored, take_over_idle
from reconsent.store.postgres import Connection, connect
from tests.bus_contract import PARTITIONS, Lag
from tests.kafka.events import GROUP
from tests.kafka.shared_broker import SharedBroker, run_broker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests in this folder."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("kafka")


@pytest.fixture(scope="session")
def given() -> KafkaSettings | None:
    """The Kafka of KAFKA_BOOTSTRAP_SERVERS, if set."""
    return kafka_settings(os.environ)  # noqa: TID251 -- a setting of the tests


@pytest.fixture(scope="session")
def started(
    given: KafkaSettings | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedBroker | None]:
    """The run's own broker, unless one is given."""
    if given:
        yield None
        return
    with run_broker(tmp_path_factory) as broker:
        yield broker


@pytest.fixture
def broker(cluster: KafkaSettings, started: SharedBroker | None) -> SharedBroker:
    """The run's own broker, exclusively for one test, which may kill it."""
    if not started:
        pytest.skip(f"{cluster.address} is not the tests' own, so it cannot be stopped")
    return started


@pytest.fixture
def cluster(
    given: KafkaSettings | None, started: SharedBroker | None, request: pytest.FixtureRequest
) -> Iterator[KafkaSettings]:
    """Kafka's address; no other test stops the broker meanwhile."""
    if given:
        yield given
        return
    assert started
    with started.used(alone="broker" in request.fixturenames):
        yield KafkaSettings(bootstrap_servers=(started.bootstrap,))


@pytest.fixture(scope="module")
def module_settings(
    given: KafkaSettings | None, started: SharedBroker | None
) -> Iterator[KafkaSettings]:
    """Like `settings`, for a whole module; not for tests that also use `cluster`."""
    if given:
        yield _with_own_topics(given)
        return
    assert started
    with started.used():
        yield _with_own_topics(KafkaSettings(bootstrap_servers=(started.bootstrap,)))


@pytest.fixture
def settings(cluster: KafkaSettings) -> KafkaSettings:
    """The run's broker with an unused topic prefix; no topics exist yet."""
    return _with_own_topics(cluster)


def _with_own_topics(cluster: KafkaSettings) -> KafkaSettings:
    return replace(cluster, topic_prefix=f"test-{uuid.uuid4().hex[:12]}.")


@pytest.fixture
def topics(settings: KafkaSettings) -> KafkaSettings:
    """Create every topic, with few partitions."""
    layouts = [
        replace(layout, partitions=min(layout.partitions, PARTITIONS))
        for layout in LAYOUTS.values()
    ]
    create(settings, layouts)
    return settings


@pytest.fixture
def connection(conninfo: str) -> Iterator[Connection]:
    """A connection made as the service makes it."""
    with connect(conninfo) as opened:
        yield opened


@pytest.fixture
def producer(topics: KafkaSettings) -> Iterator[KafkaProducer]:
    """A producer."""
    with closing(KafkaProducer(topics)) as made:
        yield made


class Join(Protocol):
    """Opens consumers."""

    def __call__(self, *names: str, group: str = GROUP, stuck: float = 10) -> KafkaConsumer:
        """Open a consumer of the given topics."""


@pytest.fixture
def join(topics: KafkaSettings, conninfo: str) -> Iterator[Join]:
    """A function that opens consumers; they are closed after the test."""
    with ExitStack() as stack:

        def made(*names: str, group: str = GROUP, stuck: float = 10) -> KafkaConsumer:
            take_over = partial(take_over_idle, conninfo, group)
            consumer = KafkaConsumer(topics, take_over, group, names, session=2, stuck=stuck)
            return stack.enter_context(closing(consumer))

        yield made


@pytest.fixture
def lag(topics: KafkaSettings, connection: Connection) -> Lag:
    """The group's lag."""
    return partial(kafka_lag.lag, topics, partial(stored, connection, GROUP))


@pytest.fixture
def kcat() -> None:
    """kcat, an independent client."""
    if shutil.which("kcat") is None:
        text = "kcat is not installed; on Debian: apt-get install kcat"
        if os.environ.get("REQUIRE_ALL") == "1":  # noqa: TID251 -- a setting of the tests
            pytest.fail(text)
        pytest.skip(text)
