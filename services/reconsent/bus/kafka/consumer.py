"""Taking batches off the topics of an Apache Kafka.

The offsets that count are stored elsewhere, under the id of the topic, so that neither another
cluster nor a topic that was deleted and created again is resumed in the middle. Kafka's own offsets
follow, for tools that show how far behind a group is.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import kafka  # type: ignore[import-untyped]
from kafka import OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor  # type: ignore[import-untyped]
from kafka.errors import KafkaError  # type: ignore[import-untyped]

from reconsent.bus.kafka.client import REQUEST_MS, open_client
from reconsent.bus.kafka.errors import heard, heard_since, in_one_line, outside
from reconsent.bus.kafka.message import from_record
from reconsent.bus.kafka.partitions import Held, Partitions, TakeOver
from reconsent.bus.kafka.topics import administration, require, stored_names
from reconsent.domain.bus import Batch
from reconsent.domain.event import TOPICS
from reconsent.domain.topics import LARGEST_MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconsent.bus.kafka.settings import KafkaSettings
    from reconsent.domain.bus import Message

_AT_ONCE: Final = 10_000
_STEP_MS: Final = 100
_SHORTEST_MS: Final = 10
_JOIN_MS: Final = 500
_SHOW_SECONDS: Final = 1.0
# How long a group may take to agree, a broker to answer, or another one's batch to be recorded.
_LONGEST_WAIT: Final = 60.0
_CLOSE_MS: Final = 2_000


def _open(
    settings: KafkaSettings, group: str, *, session: float, stuck: float
) -> kafka.KafkaConsumer:
    return open_client(
        kafka.KafkaConsumer,
        settings,
        group_id=settings.topic_prefix + group,
        request_timeout_ms=REQUEST_MS,
        session_timeout_ms=round(session * 1000),
        heartbeat_interval_ms=round(session * 300),
        max_poll_interval_ms=round(stuck * 1000),
        # One account's partitions of all topics go to the same member.
        partition_assignment_strategy=[RangePartitionAssignor],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        allow_auto_create_topics=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=LARGEST_MESSAGE,
        fetch_min_bytes=1024 * 1024,
        fetch_max_wait_ms=100,
        metrics_enabled=False,
    )


class KafkaConsumer:
    """Takes batches off the bus for a group, sharing the partitions with its other members.

    `take_over` makes this member the owner of partitions. A member that sends no heartbeat for
    `session` seconds, or does not poll for `stuck` seconds, loses its partitions. `lost_time` is
    called if the stored offsets are behind Kafka's copies: the database was set back.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        take_over: TakeOver,
        group: str,
        topics: Iterable[str] = TOPICS,
        *,
        lost_time: Callable[[], object] = bool,
        session: float = 10.0,
        stuck: float = 120.0,
    ) -> None:
        self._settings = settings
        wanted = list(topics)
        with administration(settings) as admin:
            found = require(admin, settings, wanted)
        self._topics = {settings.topic_prefix + topic: topic for topic in wanted}
        self._stored = stored_names(settings, found)
        with in_one_line(settings):
            self._client = _open(settings, group, session=session, stuck=stuck)
            self._partitions = Partitions(self._client, take_over, group, self._stored, lost_time)
            self._client.subscribe(list(self._topics), listener=self._partitions.listener)
            for topic in self._topics:
                # The first member of a group assigns only the partitions that it knows of.
                self._client.partitions_for_topic(topic)
        self._fetched: deque[tuple[TopicPartition, list[Any]]] = deque()
        self._handed_out: dict[TopicPartition, int] = {}
        self._recording: dict[TopicPartition, int] = {}
        self._recorded: dict[TopicPartition, int] = {}
        self._shown_at = time.monotonic()

    def poll(self, limit: int, timeout: float) -> Batch | None:
        """Return up to `limit` messages of one partition; None if none came in time (seconds).

        None as well means that this member has its share of the partitions and has reached their
        ends, for which it may wait longer. Raises OutsideError when that takes too long.
        """
        # The last batch may not be recorded yet. Kafka must never be ahead of the database: that is
        # how a database that lost time is noticed.
        self._recorded |= self._recording
        self._recording, self._handed_out = self._handed_out, {}
        deadline = time.monotonic() + timeout
        since = heard()
        with in_one_line(self._settings):
            self._show()
            if not self._fetched:
                # Also without time to wait: the group may have something to tell.
                self._fetch(limit, timeout)
            while True:
                self._partitions.follow()
                batch = self._next(limit)
                if batch:
                    return batch
                left = deadline - time.monotonic()
                if left <= 0 and self._partitions.settled(_LONGEST_WAIT + left):
                    return self._skip()
                if left < -_LONGEST_WAIT:
                    raise outside(self._settings, heard_since(since) or self._partitions.waits_for)
                self._fetch(limit, left)

    def close(self) -> None:
        """Give the partitions back."""
        recorded, self._recorded = self._recorded, {}
        with suppress(KafkaError):
            if recorded:
                self._client.commit(_kafka_offsets(recorded), timeout_ms=_CLOSE_MS)
        with suppress(KafkaError):
            self._client.close(autocommit=False, timeout_ms=_CLOSE_MS)

    def _show(self) -> None:
        """Tell Kafka now and then where the group stands; nothing depends on it."""
        if self._recorded and time.monotonic() - self._shown_at > _SHOW_SECONDS:
            self._client.commit_async(_kafka_offsets(self._recorded))
            self._recorded.clear()
            self._shown_at = time.monotonic()

    def _fetch(self, limit: int, seconds: float) -> None:
        """Fetch what there is, for a short while at most: new partitions wait to be taken over."""
        milliseconds = min(max(seconds * 1000, _SHORTEST_MS), _STEP_MS)
        if not self._partitions.joined:
            # The library forgets that it has joined when that happens between two polls.
            milliseconds = _JOIN_MS
        found = self._client.poll(timeout_ms=milliseconds, max_records=max(limit, _AT_ONCE))
        self._fetched.extend(found.items())

    def _next(self, limit: int) -> Batch | None:
        """Return what was fetched of one partition, and forget what was fetched of lost ones."""
        while self._fetched:
            place, records = self._fetched.popleft()
            if place not in self._partitions.held:
                continue
            if len(records) > limit:
                self._fetched.appendleft((place, records[limit:]))
            messages = [
                from_record(self._topics[place.topic], record) for record in records[:limit]
            ]
            return self._batch(place, messages[-1].offset + 1, messages)
        return None

    def _skip(self) -> Batch | None:
        """Return a batch over offsets at the end that hold no message, where there are some."""
        place = self._partitions.skipped()
        return place and self._batch(place, self._client.position(place), [])

    def _batch(self, place: TopicPartition, end: int, messages: Sequence[Message]) -> Batch:
        held = self._partitions.held[place]
        self._partitions.held[place] = Held(held.epoch, end)
        self._handed_out[place] = end
        return Batch(
            topic=self._stored[place.topic],
            partition=place.partition,
            epoch=held.epoch,
            start_offset=held.position,
            next_offset=end,
            messages=messages,
        )


def _kafka_offsets(offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, Any]:
    return {place: OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()}
