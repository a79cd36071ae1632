"""The partitions that a member of a Kafka group owns, and the offsets it reads from.

Kafka assigns the partitions; the authoritative offsets are in the database. Rebalances arrive on a
thread of the client: they are only queued there, and new partitions stay paused until they have
been taken over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import kafka  # type: ignore[import-untyped]
from kafka import OffsetAndMetadata, TopicPartition
from typing_extensions import override

from reconsent.telemetry.log_events import MESSAGES_MISSING, PARTITION_LOCKED

if TYPE_CHECKING:
    from collections.abc import Iterable

Place = tuple[str, int]
TakeOver = Callable[[Collection[Place]], Mapping[Place, tuple[int, int]]]
"""Become the owner of partitions, each given by its stored topic name and its number.

Returns the epoch and the next offset of each. A partition whose earlier owner is still recording a
batch is left out; retry it later. Raises OutsideError.
"""


class Held(NamedTuple):
    """An owned partition: its epoch, and the offset up to which it was handed out."""

    epoch: int
    position: int


def copies(
    offsets: Mapping[TopicPartition, int], name: Mapping[str, str]
) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return offsets as Kafka keeps them, each with the stored name of its topic.

    The name tells a copy from an offset set by another program, and from one of a deleted topic.
    """
    return {
        place: OffsetAndMetadata(offset, name[place.topic], -1) for place, offset in offsets.items()
    }


class _Change(NamedTuple):
    """A rebalance: these partitions are ours from now on, or no longer."""

    ours: bool
    partitions: frozenset[TopicPartition]


class _RebalanceQueue(kafka.ConsumerRebalanceListener):  # type: ignore[misc] # the library has no types
    """Queues rebalances, on any thread."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401
        self._client = client
        self.waiting: SimpleQueue[_Change] = SimpleQueue()

    @override
    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Pause them: their start offsets are not known yet."""
        partitions = frozenset(assigned)
        self._client.pause(*partitions)
        self.waiting.put(_Change(ours=True, partitions=partitions))

    @override
    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Queue their loss: the next poll drops them before it hands out messages."""
        self.waiting.put(_Change(ours=False, partitions=frozenset(revoked)))


class Partitions:
    """Follows the rebalances of one client.

    `name` maps a topic to the name that its offsets are stored under; `take_over` is called for
    newly assigned partitions, and `lost_time` if the stored offsets are behind the group's.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401
        take_over: TakeOver,
        group: str,
        name: Mapping[str, str],
        lost_time: Callable[[], object],
    ) -> None:
        self.held: dict[TopicPartition, Held] = {}
        self.listener = _RebalanceQueue(client)
        self._client = client
        self._take_over = take_over
        self._group = group
        self._name = name
        self._lost_time = lost_time
        self._new: set[TopicPartition] = set()
        self._left: frozenset[str] = frozenset()
        self.joined = False

    def follow(self) -> None:
        """Drop lost partitions, and take over new ones.

        A partition whose earlier owner is still recording a batch is retried at the next call.
        """
        while not self.listener.waiting.empty():
            change = self.listener.waiting.get()
            for partition in change.partitions:
                self.held.pop(partition, None)
                self._new.discard(partition)
            if change.ours:
                self._new |= change.partitions
            self.joined = change.ours
        if self._new:
            self._begin(self._taken_over())

    def leave(self, topics: frozenset[str]) -> None:
        """Leave some topics alone, and go on with those that were left before.

        What was fetched of them and not handed out is fetched again later.
        """
        for place, held in self.held.items():
            if place.topic in topics - self._left:
                self._client.pause(place)
                self._client.seek(place, held.position)
            elif place.topic in self._left - topics:
                self._client.resume(place)
        self._left = topics

    def put_back(self, place: TopicPartition, epoch: int, offset: int) -> bool:
        """Begin again at an offset; False if the partition was lost since this epoch."""
        held = self.held.get(place)
        if held is None or held.epoch != epoch:
            return False
        self.held[place] = Held(epoch, offset)
        self._client.seek(place, offset)
        return True

    def settled(self, timeout: float) -> bool:
        """Return whether this member has its share and has read it to the ends (timeout in s).

        Topics that are left alone do not count.
        """
        if self._new or not self.joined or not self.listener.waiting.empty():
            return False
        read = [place for place in self.held if place.topic not in self._left]
        if not read:
            return True
        ends = self._client.end_offsets(read, timeout_ms=timeout * 1000)
        return all(self._client.position(place) >= end for place, end in ends.items())

    @property
    def waits_for(self) -> str:
        """What keeps this member from being settled."""
        if not self.joined:
            return f"the rebalance of group {self._group} does not complete"
        if self._new:
            return "another process is still recording a batch of " + ", ".join(
                f"{place.topic}/{place.partition}" for place in sorted(self._new)
            )
        return "does not respond"

    def skipped(self) -> TopicPartition | None:
        """Return a partition whose trailing offsets hold no readable message, if there is one.

        Valid only if everything that was fetched has been handed out.
        """
        for place, held in self.held.items():
            if self._client.position(place) > held.position:
                return place
        return None

    def _taken_over(self) -> dict[TopicPartition, Held]:
        places = {(self._name[new.topic], new.partition): new for new in sorted(self._new)}
        # Before the stored offsets: an earlier owner may still record batches and copy the offsets.
        copied = {new: self._copied(new) for new in places.values()}
        taken = self._take_over(places.keys())
        for place in places.keys() - taken.keys():
            locked = places[place]
            PARTITION_LOCKED.log(topic=locked.topic, partition=locked.partition)
        held = {places[place]: Held(*taken[place]) for place in taken}
        self._compare({place: one.position for place, one in held.items()}, copied)
        return held

    def _copied(self, place: TopicPartition) -> int:
        """Return Kafka's copy of the offset; 0 if it was not copied from this very topic."""
        found = self._client.committed(place, metadata=True)
        return found.offset if found and found.metadata == self._name[place.topic] else 0

    def _compare(
        self, stored: Mapping[TopicPartition, int], copied: Mapping[TopicPartition, int]
    ) -> None:
        """Detect a restored database: Kafka's copies of the offsets are never ahead otherwise."""
        behind = {place: offset for place, offset in stored.items() if copied[place] > offset}
        if behind:
            self._lost_time()
            self._client.commit(copies(behind, self._name))

    def _begin(self, taken: Mapping[TopicPartition, Held]) -> None:
        """Resume at the stored offset, or at the oldest message if that offset is out of range."""
        if not taken:
            return
        firsts = self._client.beginning_offsets(list(taken))
        ends = self._client.end_offsets(list(taken))
        for place, held in taken.items():
            first, end = firsts[place], ends[place]
            start = held.position if first <= held.position <= end else first
            if start != held.position and held.position:
                MESSAGES_MISSING.log(
                    topic=place.topic,
                    partition=place.partition,
                    position=held.position,
                    first=first,
                    end=end,
                    start=start,
                )
            self._client.seek(place, start)
            if place.topic not in self._left:
                self._client.resume(place)
            self.held[place] = held
        self._new -= taken.keys()
