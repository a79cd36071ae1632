"""Consume batches from Apache Kafka topics.

The authoritative offsets are in the database, by topic id: a consumer never resumes in the middle
of another cluster's topic or of a recreated one. Kafka's own offsets are copies, for tools that
show a group's lag.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import kafka  # type: ignore[import-untyped]
from kafka import TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor  # type: ignore[import-untyped]
from kafka.errors import KafkaError  # type: ignore[import-untyped]

from reconsent.bus.kafka.client import REQUEST_MS, open_client
from reconsent.bus.kafka.errors import in_one_line, last_reason, outside, reason_since
from reconsent.bus.kafka.message import from_record
from reconsent.bus.kafka.partitions import Held, Partitions, TakeOver, copies
from reconsent.bus.kafka.topics import administration, require, stored_names
from reconsent.domain.bus import RECORDED_AT_ONCE, Batch
from reconsent.domain.event import TOPICS
from reconsent.domain.topics import LARGEST_MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from reconsent.bus.kafka.settings import KafkaSettings
    from reconsent.domain.bus import Message

_AT_ONCE: Final = 10_000
_STEP_MS: Final = 100
_SHORTEST_MS: Final = 10
_JOIN_MS: Final = 500
_COMMIT_SECONDS: Final = 1.0
# Limit for a rebalance, a broker's reply, or the end of another member's batch.
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
    """Consumes batches for a group, sharing the partitions with its other members.

    `take_over` makes this member the owner of partitions. A member that sends no heartbeat for
    `session` seconds, or does not poll for `stuck` seconds, loses its partitions. `lost_time` is
    called if the stored offsets are behind Kafka's copies: the database was restored.
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
                # The group's leader assigns only partitions that it knows.
                self._client.partitions_for_topic(topic)
        self._fetched: deque[tuple[TopicPartition, list[Any]]] = deque()
        # The ends of what was handed out by the last polls, the latest first.
        self._handed_out: deque[dict[TopicPartition, int]] = deque(
            {} for _ in range(RECORDED_AT_ONCE + 1)
        )
        self._recorded: dict[TopicPartition, int] = {}
        self._committed_at = time.monotonic()

    def poll(
        self, limit: int, timeout: float, without: Collection[str] = frozenset()
    ) -> Batch | None:
        """Return up to `limit` messages of one partition; None if none came in `timeout` seconds.

        Topics in `without` are left alone. None also means that this member has its share of the
        partitions and has reached their ends. It may wait longer for that; raises OutsideError if
        it takes too long.
        """
        # The last batches may not be recorded yet. Kafka must never be ahead of the database:
        # a restored database is detected by that.
        self._recorded |= self._handed_out.pop()
        self._handed_out.appendleft({})
        deadline = time.monotonic() + timeout
        since = last_reason()
        with in_one_line(self._settings):
            self._leave(without)
            self._commit_now_and_then()
            if not self._fetched:
                # Even with timeout 0: only a poll delivers rebalances.
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
                    raise outside(self._settings, reason_since(since) or self._partitions.waits_for)
                self._fetch(limit, left)

    def put_back(self, batch: Batch) -> None:
        """Hand out a batch again that was not recorded, and what follows it."""
        [topic] = (name for name, stored in self._stored.items() if stored == batch.topic)
        place = TopicPartition(topic, batch.partition)
        if self._partitions.put_back(place, batch.epoch, batch.start_offset):
            self._drop(lambda fetched: fetched == place)
        for ends in self._handed_out:
            ends.pop(place, None)

    def close(self) -> None:
        """Give the partitions back."""
        recorded, self._recorded = self._recorded, {}
        with suppress(KafkaError):
            if recorded:
                self._client.commit(copies(recorded, self._stored), timeout_ms=_CLOSE_MS)
        with suppress(KafkaError):
            self._client.close(autocommit=False, timeout_ms=_CLOSE_MS)

    def _leave(self, without: Collection[str]) -> None:
        left = frozenset(full for full, topic in self._topics.items() if topic in without)
        if left:
            self._drop(lambda fetched: fetched.topic in left)
        self._partitions.leave(left)

    def _drop(self, unwanted: Callable[[TopicPartition], bool]) -> None:
        """Drop what was fetched of some partitions; the caller has it fetched again."""
        kept = (fetched for fetched in self._fetched if not unwanted(fetched[0]))
        self._fetched = deque(kept)

    def _commit_now_and_then(self) -> None:
        """Copy the recorded offsets to Kafka; nothing depends on them."""
        if self._recorded and time.monotonic() - self._committed_at > _COMMIT_SECONDS:
            self._client.commit_async(copies(self._recorded, self._stored))
            self._recorded.clear()
            self._committed_at = time.monotonic()

    def _fetch(self, limit: int, seconds: float) -> None:
        """Fetch for a short while at most: new partitions wait to be taken over."""
        milliseconds = min(max(seconds * 1000, _SHORTEST_MS), _STEP_MS)
        if not self._partitions.joined:
            # The library drops a join that completes between two polls.
            milliseconds = _JOIN_MS
        found = self._client.poll(timeout_ms=milliseconds, max_records=max(limit, _AT_ONCE))
        self._fetched.extend(found.items())

    def _next(self, limit: int) -> Batch | None:
        """Return fetched messages of one partition; drop those of lost partitions."""
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
        """Return an empty batch over trailing offsets without messages, if there are any."""
        place = self._partitions.skipped()
        return place and self._batch(place, self._client.position(place), [])

    def _batch(self, place: TopicPartition, end: int, messages: Sequence[Message]) -> Batch:
        held = self._partitions.held[place]
        self._partitions.held[place] = Held(held.epoch, end)
        self._handed_out[0][place] = end
        return Batch(
            topic=self._stored[place.topic],
            partition=place.partition,
            epoch=held.epoch,
            start_offset=held.position,
            next_offset=end,
            messages=messages,
        )
