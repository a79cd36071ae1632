"""After a stop Kafka's copy of an offset is never ahead of the database. RULES 27.

Kafka is told what the polls before the last few handed out. So all of that is recorded by then, or
was put back, also where a stop drops a batch and so leaves a poll without one to record.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from functools import partial
from random import Random
from threading import Event
from typing import Any, Final

import pytest

from reconsent.bus.postgres import PostgresConsumer
from reconsent.domain.bus import RECORDED_AT_ONCE, Batch, Message
from reconsent.domain.event import TOPICS
from reconsent.store.offsets import stored
from reconsent.store.postgres import Connection, Database, connect
from reconsent.workers import intake as intake_module
from reconsent.workers.batches import ReadBatch
from reconsent.workers.intake import GROUP, Intake
from reconsent.workers.stops import LONGEST_PAUSE
from tests.integration.workers.poisoned import (
    NOW,
    Clock,
    account,
    accounts,
    choices,
    denial,
    drain,
    event,
    intake_of,
    rows,
    send,
    stops,
)

Place = tuple[str, int]
_TOPICS: Final = ("accounts", "choices", "collections")
_LONGEST: Final = 60.0


class AsKafka:
    """The embedded bus, polled for one topic after another; `ahead` is what Kafka would be told.

    That is told of a batch RECORDED_AT_ONCE polls after the next one, as KafkaConsumer tells it.
    """

    def __init__(self, conninfo: str, script: Sequence[str]) -> None:
        self.ahead: list[tuple[Place, int]] = []
        self._stored = partial(connect, conninfo, autocommit=True)
        self._consumer = PostgresConsumer(self._stored, GROUP)
        self._script = deque(script)
        self._handed_out: deque[dict[Place, int]] = deque({} for _ in range(RECORDED_AT_ONCE + 1))

    def poll(
        self, limit: int, timeout: float, without: Collection[str] = frozenset()
    ) -> Batch | None:
        """Return a batch of the next topic of the script, then of any."""
        with closing(self._stored()) as connection:
            now = stored(connection, GROUP, TOPICS)
        told = self._handed_out.pop()
        self.ahead += [(place, end) for place, end in told.items() if now[place] < end]
        self._handed_out.appendleft({})
        if self._script:
            without = {*without, *TOPICS} - ({self._script.popleft()} - {*without})
        batch = self._consumer.poll(limit, timeout, without)
        if batch:
            self._handed_out[0][batch.topic, batch.partition] = batch.next_offset
        return batch

    def put_back(self, batch: Batch) -> None:
        """Hand it out again; Kafka is not told of it."""
        self._consumer.put_back(batch)
        for ends in self._handed_out:
            ends.pop((batch.topic, batch.partition), None)

    def close(self) -> None:
        """Give the partitions back."""
        self._consumer.close()


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Record a batch only once the intake waits for it; yield how often each topic's fail first."""
    monkeypatch.setattr(intake_module, "BATCH", 1)
    left: Counter[str] = Counter()
    awaited: dict[tuple[str, int], Event] = {}
    record, finish = Intake._record, Intake._finish  # noqa: SLF001 -- one batch

    def gate(understood: ReadBatch) -> Event:
        batch = understood.batch
        return awaited.setdefault((batch.topic, batch.start_offset), Event())

    def recording(self: Intake, connection: Connection, understood: ReadBatch) -> object:
        assert gate(understood).wait(_LONGEST)
        if left[understood.batch.topic]:
            left[understood.batch.topic] -= 1
            raise ZeroDivisionError
        return record(self, connection, understood)

    def finishing(self: Intake, one: Any) -> None:  # noqa: ANN401 -- private
        gate(one.understood).set()
        finish(self, one)

    monkeypatch.setattr(Intake, "_record", recording)
    monkeypatch.setattr(Intake, "_finish", finishing)
    yield left
    for waits in awaited.values():
        waits.set()


def _messages() -> list[Message]:
    """Make two events for each of the topics, about different accounts."""
    collected = {"data_category": "user", "collected_at": NOW.isoformat()}
    return [
        *(account("ann"), account("bo"), denial("cy"), denial("di")),
        *(event("collections", name, **collected) for name in ("eve", "flo")),
    ]


def _scripts() -> list[tuple[list[str], list[str]]]:
    """Return topics to poll in turn, and which of them fail at first, as often as named."""
    dropped = ["accounts", "choices", "accounts", "collections", "collections", "choices"]
    random = [
        (chance.choices(_TOPICS, k=9), chance.choices(_TOPICS, k=chance.randint(1, 3)))
        for chance in map(Random, range(8))
    ]
    return [(dropped, ["accounts"]), *random]


@pytest.mark.parametrize(("script", "failing"), _scripts())
def test_kafka_is_not_told_of_what_is_being_recorded(
    database: Database,
    conninfo: str,
    failures: Counter[str],
    script: list[str],
    failing: list[str],
) -> None:
    """Whatever is in flight when a topic stops is finished first; in the end all is recorded."""
    send(conninfo, _messages())
    failures.update(failing)
    consumer, clock = AsKafka(conninfo, script), Clock()
    with intake_of(database, lambda: consumer, clock, ahead=True) as reader:
        for _ in script:
            reader.work()
        for _ in failing:
            clock.seconds += LONGEST_PAUSE
            drain(reader)
    assert consumer.ahead == []
    held = rows(conninfo, "SELECT 1 FROM holdings")
    assert (accounts(conninfo), choices(conninfo), len(held)) == (["ann", "bo"], 2, 2)
    assert stops(database) == []
