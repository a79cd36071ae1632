"""The bus as topics of an Apache Kafka.

Where a group stands is kept in PostgreSQL, under the id of the topic, so that neither another
cluster nor a topic that was made anew is taken up in the middle. Kafka's own offsets follow, for
tools that show how far behind a group is.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import kafka  # type: ignore[import-untyped]
from kafka import OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor  # type: ignore[import-untyped]
from kafka.errors import KafkaError, KafkaTimeoutError  # type: ignore[import-untyped]

from reconsent.bus.kafka.client import open_client
from reconsent.bus.kafka.errors import heard, heard_since, in_one_line, outside
from reconsent.bus.kafka.message import check_size, from_record
from reconsent.bus.kafka.partitions import Held, Partitions
from reconsent.bus.kafka.topics import administration, require, stored_names
from reconsent.domain.bus import Batch
from reconsent.domain.event import TOPICS
from reconsent.domain.topics import LARGEST_MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconsent.bus.kafka.settings import KafkaSettings
    from reconsent.domain.bus import Message
    from reconsent.store.postgres import Connection

_AT_ONCE: Final = 10_000
_STEP_MS: Final = 100
_SHORTEST_MS: Final = 10
_JOIN_MS: Final = 500
_SHOW_SECONDS: Final = 1.0
# How long a group may take to agree, a broker to answer, or another one's batch to be recorded.
_LONGEST_WAIT: Final = 60.0
_SEND_SECONDS: Final = 30.0
_CLOSE_MS: Final = 2_000
_REQUEST_MS: Final = 15_000


class KafkaConsumer:
    """Takes batches off the bus for a group, sharing the partitions with its other members.

    `connect` opens connections to PostgreSQL that commit by themselves. A member that sends no sign
    of life for `session` seconds, or does not poll for `stuck` seconds, loses its partitions.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        connect: Callable[[], Connection],
        group: str,
        topics: Iterable[str] = TOPICS,
        *,
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
            self._client = open_client(
                kafka.KafkaConsumer,
                settings,
                group_id=settings.topic_prefix + group,
                request_timeout_ms=_REQUEST_MS,
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
            self._partitions = Partitions(self._client, connect, group, self._stored)
            self._client.subscribe(list(self._topics), listener=self._partitions.listener)
            for topic in self._topics:
                # Whoever joins a group first shares out the partitions that it knows of.
                self._client.partitions_for_topic(topic)
        self._fetched: deque[tuple[TopicPartition, list[Any]]] = deque()
        self._handed_out: dict[TopicPartition, int] = {}
        self._recorded: dict[TopicPartition, int] = {}
        self._shown_at = time.monotonic()

    def poll(self, limit: int, timeout: float) -> Batch | None:
        """Return up to `limit` messages of one partition; None if none came in time (seconds).

        None as well means that this member has its share of the partitions and has reached their
        ends, for which it may wait longer. Raises OutsideError when that takes too long.
        """
        # The last of them may only just be being recorded; were it not, nobody would go on here.
        self._recorded |= self._handed_out
        self._handed_out.clear()
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


class KafkaProducer:
    """Puts messages on the bus; where one goes is up to its key alone.

    Of producers with the same `sole` name only the newest may write: the broker refuses the others,
    also what they had on its way. Theirs is a transaction for each `send`.
    """

    def __init__(self, settings: KafkaSettings, *, sole: str | None = None) -> None:
        self._settings = settings
        self._sole = sole and settings.topic_prefix + sole
        self._client: Any = None
        self._known: set[str] = set()

    def send(self, messages: Sequence[Message]) -> None:
        """Put all of them on the bus, durable on return; equal keys keep their order.

        Raises BadInputError, before any is sent, for a message that no topic can hold.
        """
        if not messages:
            return
        for message in messages:
            check_size(message)
        try:
            with in_one_line(self._settings):
                self._require({message.topic for message in messages})
                self._send(messages)
        except BaseException:
            # What it still holds might be delivered later, behind what is sent again.
            self.close()
            raise

    def close(self) -> None:
        """Let go of the bus, and of what has not reached it yet."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            client.close(timeout=0)
        except KafkaError:
            # It waits for what it still holds before it lets go of it, and fails at that.
            client._sender.force_close()  # noqa: SLF001 -- there is no other way

    def _require(self, topics: set[str]) -> None:
        unknown = topics - self._known
        if unknown:
            with administration(self._settings) as admin:
                require(admin, self._settings, sorted(unknown))
            self._known |= unknown

    def _send(self, messages: Sequence[Message]) -> None:
        if self._client is None:
            self._client = _producer(self._settings, self._sole)
        if self._sole:
            self._client.begin_transaction()
        sent = [
            self._client.send(
                self._settings.topic_prefix + message.topic,
                key=message.key,
                value=message.value,
                headers=list(message.headers),
                timestamp_ms=round(message.timestamp.timestamp() * 1000),
            )
            for message in messages
        ]
        self._client.flush(timeout=2 * _SEND_SECONDS)
        failed = [
            (message.topic, future.exception)
            for message, future in zip(messages, sent, strict=True)
            if future.failed()
        ]
        if failed:
            # One message spoils others on its way, which fail with an error that says no more.
            topic, error = min(failed, key=lambda found: type(found[1]) is KafkaError)
            if isinstance(error, KafkaTimeoutError):
                raise error
            raise outside(self._settings, f"{topic}: {type(error).__name__}") from error
        if self._sole:
            self._commit()

    def _commit(self) -> None:
        """End a transaction. The library would wait for a broker that is away for ever."""
        failed: list[BaseException] = []

        def commit() -> None:
            try:
                self._client.commit_transaction()
            except BaseException as error:  # noqa: BLE001 -- told by the thread that waits
                failed.append(error)

        waiting = threading.Thread(target=commit, name="commit", daemon=True)
        waiting.start()
        waiting.join(_SEND_SECONDS)
        if failed:
            raise failed[0]
        if waiting.is_alive():
            raise KafkaTimeoutError("the broker has not ended the transaction")


def _producer(settings: KafkaSettings, sole: str | None) -> Any:  # noqa: ANN401 -- the library has no types
    made = open_client(
        kafka.KafkaProducer,
        settings,
        transactional_id=sole,
        max_block_ms=_REQUEST_MS,
        request_timeout_ms=_REQUEST_MS,
        delivery_timeout_ms=round(_SEND_SECONDS * 1000),
        acks="all",
        enable_idempotence=True,
        allow_auto_create_topics=False,
        batch_size=256 * 1024,
        linger_ms=5,
        max_request_size=LARGEST_MESSAGE,
        metrics_enabled=False,
    )
    if sole:
        try:
            made.init_transactions()
        except BaseException:
            made.close(timeout=0)
            raise
    return made


def _kafka_offsets(offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, Any]:
    return {place: OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()}
