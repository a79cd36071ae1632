"""Set up the parts of intake before they are measured."""

# ruff: noqa: SLF001 -- uses internals of the consumer
from __future__ import annotations

from functools import partial

from reconsent.bus.kafka.consumer import KafkaConsumer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.domain.signing import Signer
from reconsent.store.offsets import take_over_idle
from reconsent.store.postgres import Database
from reconsent.workers import intake
from reconsent.workers.running import collect_rarely


def consumer(settings: KafkaSettings, conninfo: str, topic: str) -> KafkaConsumer:
    """Join the group with offsets in a database, for one topic."""
    take_over = partial(take_over_idle, conninfo, intake.GROUP)
    return KafkaConsumer(settings, take_over, intake.GROUP, [topic])


def warm_up(ours: KafkaConsumer, partitions: int) -> None:
    """Take over this number of partitions, without handing out messages."""
    while len(ours._partitions.held) != partitions:
        ours._fetch(1, 0)
        ours._partitions.follow()


def join(ours: KafkaConsumer, partitions: int) -> None:
    """Join the group until this number of partitions is assigned; do not require a take-over."""
    while len(ours._partitions._new | ours._partitions.held.keys()) != partitions:
        ours._fetch(1, 0)
        ours._partitions.follow()


def reader(database: Database, ours: KafkaConsumer) -> intake.Intake:
    """Make intake as with Kafka, but with patience 0."""
    collect_rarely()
    hashed = Signer("s").address_hash
    return intake.Intake(database, lambda: ours, hashed, patience=0, ahead=True)
