"""The bus as a log table in PostgreSQL: the embedded form.

A consumer owns a partition by a lease: a dead process frees it at once, and `offsets.take_over`
fences a consumer that was merely slow. NOTIFY only wakes consumers up.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import psycopg

from reconsent.domain.bus import Batch, Message
from reconsent.domain.errors import OutsideError
from reconsent.domain.event import TOPICS
from reconsent.store.leases import Leases
from reconsent.store.log import PARTITIONS, Partition, append, from_row
from reconsent.store.named import named
from reconsent.store.offsets import TAKE_OVER_LIMIT, take_over
from reconsent.store.postgres import in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from reconsent.store.postgres import Connection

SQL = named("bus")
_SHARE_SECONDS: Final = 1.0
# A suspended process keeps its partitions no longer than this, in PostgreSQL's words.
_IDLE_LIMIT: Final = "2min"


class PostgresProducer:
    """Puts messages on the bus, each `send` in a transaction of its own."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None

    def send(self, messages: Sequence[Message]) -> None:
        """Put all of them on the bus, durable on return; equal keys keep their order."""
        if not messages:
            return
        with in_one_line("bus"):
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            with self._connection.transaction():
                append(self._connection, messages)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()


class PostgresConsumer:
    """Takes batches off the bus for a group, sharing the partitions with its other members.

    `connect` opens connections in autocommit mode. Each member holds at most its share of the
    partitions and gives back the rest, so that a new member finds some.
    """

    def __init__(
        self, connect: Callable[[], Connection], group: str, topics: Iterable[str] = TOPICS
    ) -> None:
        self._group = group
        self._members = f"bus {group} member "
        self._member = f"{self._members}{uuid4()}"
        # By partition first, so that each member's share is mixed.
        self._all = [(topic, partition) for partition in range(PARTITIONS) for topic in topics]
        # Epoch and position of the partitions held, the one served least recently first.
        self._held: dict[Partition, tuple[int, int]] = {}
        self._shared_at: float | None = None
        self._connection = connect()
        try:
            self._join()
        except OutsideError:
            self._connection.close()
            raise

    def poll(
        self, limit: int, timeout: float, without: Collection[str] = frozenset()
    ) -> Batch | None:
        """Return up to `limit` messages of one partition; None if none came in time (seconds).

        Topics in `without` are left alone.
        """
        deadline = time.monotonic() + timeout
        with in_one_line("bus"):
            while True:
                self._share()
                batch = self._next(limit, without)
                left = deadline - time.monotonic()
                if batch or left <= 0:
                    return batch
                for _ in self._connection.notifies(timeout=min(left, _SHARE_SECONDS), stop_after=1):
                    pass

    def put_back(self, batch: Batch) -> None:
        """Hand out a batch again that was not recorded, and what follows it."""
        partition = (batch.topic, batch.partition)
        epoch, _ = self._held.get(partition, (None, 0))
        if epoch == batch.epoch:
            self._held[partition] = (batch.epoch, batch.start_offset)

    def close(self) -> None:
        """Give the partitions back."""
        self._leases.close()

    def _join(self) -> None:
        with in_one_line("bus"):
            self._set("idle_session_timeout", _IDLE_LIMIT)
            self._set("lock_timeout", TAKE_OVER_LIMIT)
            self._connection.execute("LISTEN bus")
            self._leases = Leases(self._connection, _IDLE_LIMIT)
            self._leases.take(self._member)

    def _set(self, setting: str, value: str) -> None:
        self._connection.execute("SELECT set_config(%s, %s, false)", (setting, value))

    def _lease_of(self, partition: Partition) -> str:
        return f"bus {self._group} {partition[0]} {partition[1]}"

    def _share(self) -> None:
        """Hold as many partitions as this member should, as far as they are free."""
        now = time.monotonic()
        if self._shared_at is not None and now - self._shared_at < _SHARE_SECONDS:
            return
        self._shared_at = now
        if not self._leases.renew() >= {self._member, *map(self._lease_of, self._held)}:
            raise OutsideError("bus: this consumer was suspended and presumed dead")
        live = self._leases.live(f"bus {self._group} ")
        members = sum(name.startswith(self._members) for name in live)
        share = -(-len(self._all) // max(members, 1))
        for partition in self._idle()[: max(0, len(self._held) - share)]:
            del self._held[partition]
            self._leases.release(self._lease_of(partition))
        for partition in self._all:
            if len(self._held) >= share:
                break
            if partition not in self._held and self._lease_of(partition) not in live:
                self._take(partition)

    def _take(self, partition: Partition) -> None:
        if not self._leases.take(self._lease_of(partition)):
            return
        try:
            self._held[partition] = take_over(self._connection, self._group, *partition)
        except psycopg.errors.LockNotAvailable:
            # A batch of the earlier owner is still being recorded: try later.
            self._leases.release(self._lease_of(partition))

    def _idle(self) -> list[Partition]:
        """List the partitions held of which no batch is being recorded."""
        found = self._connection.execute(SQL["idle"], {"group": self._group} | self._positions())
        return found.fetchall()

    def _positions(self) -> dict[str, list[Any]]:
        return {
            "topics": [topic for topic, _ in self._held],
            "partitions": [partition for _, partition in self._held],
            "offsets": [position for _, position in self._held.values()],
        }

    def _next(self, limit: int, without: Collection[str]) -> Batch | None:
        """Return a batch of the partition served least recently, of those that have one."""
        ahead = {
            (topic, partition): end
            for topic, partition, end in self._connection.execute(SQL["ahead"], self._positions())
        }
        having = (each for each in self._held if each in ahead and each[0] not in without)
        turn = next(having, None)
        if turn is None:
            return None
        topic, partition = turn
        epoch, position = self._held.pop(turn)
        at = {"topic": topic, "partition": partition, "offset": position, "limit": limit}
        messages = [
            from_row(row) for row in self._connection.execute(SQL["fetch"], at, binary=True)
        ]
        after_last = messages[-1].offset + 1 if messages else 0
        # Fewer than the limit: between the last one and the end there is nothing any more.
        next_offset = after_last if len(messages) == limit else max(after_last, ahead[turn])
        self._held[turn] = (epoch, next_offset)
        return Batch(
            topic=topic,
            partition=partition,
            epoch=epoch,
            start_offset=position,
            next_offset=next_offset,
            messages=messages,
        )
