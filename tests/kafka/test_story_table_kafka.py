"""The table of tests/acceptance through Kafka: events are produced, mail and permissions checked.

Whatever the program is told it is told by messages of a client that knows nothing of it; people
alone use pages, as they would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import kafka  # type: ignore[import-untyped]
import pytest
from typing_extensions import override

from reconsent.bus.kafka.settings import KafkaSettings
from tests.acceptance import rows_of_people, rows_of_versions
from tests.acceptance.outside import Json, World
from tests.acceptance.stories import Stage, run_all
from tests.bus_contract import PARTITIONS

ROWS = {row.__name__: row for row in (*rows_of_people.ROWS, *rows_of_versions.ROWS)}


class ProducedStage(Stage):
    """A stage whose events are produced to topics, as bare JSON."""

    producer: kafka.KafkaProducer

    @override
    def hand_over(self) -> None:
        """Produce what was told, and wait until it is there."""
        prefix = self.world.environment["RECONSENT_TOPIC_PREFIX"]
        sent = [
            self.producer.send(
                prefix + topic, key=_key(topic, event), value=json.dumps(event).encode()
            )
            for topic, events in self.events.items()
            for event in events
            if isinstance(event, dict)
        ]
        self.events = {}
        for future in sent:
            future.get(timeout=60)


def _key(topic: str, event: Json) -> bytes:
    """Return the key of docs/interfaces.md."""
    names = {"policy-versions": ["policy"], "mail-events": ["notice"]}
    return "/".join(event[name] for name in names.get(topic, ["property", "account"])).encode()


@pytest.fixture(scope="module")
def world(module_settings: KafkaSettings, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a RECONSENT_HOME of the module's own whose bus is the Kafka."""
    made = World(tmp_path_factory.mktemp("world"))
    made.environment["KAFKA_BOOTSTRAP_SERVERS"] = module_settings.address
    made.environment["RECONSENT_TOPIC_PREFIX"] = module_settings.topic_prefix
    made.run("topics", "create", "--partitions", str(PARTITIONS))
    return made


@pytest.fixture(scope="module")
def faults(world: World, module_settings: KafkaSettings) -> Iterator[dict[str, Exception | None]]:
    """Run all stories; return what went wrong in each."""
    with world.serving() as web:
        stage = ProducedStage(world, web)
        stage.producer = kafka.KafkaProducer(**module_settings.client)
        try:
            yield run_all(stage, ROWS)
        finally:
            stage.producer.close()


@pytest.mark.parametrize("name", ROWS)
def test_row(name: str, faults: dict[str, Exception | None]) -> None:
    """A row's expectations hold."""
    fault = faults[name]
    if fault is not None:
        raise fault
