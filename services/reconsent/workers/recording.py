"""Batches that are being recorded, each in a transaction of its own.

Two of different partitions are recorded side by side: each keeps one process of PostgreSQL busy.
The next batch of a partition begins when the one before has ended, so that order is kept.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from reconsent.domain.bus import RECORDED_AT_ONCE
from reconsent.store.offsets import advance

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconsent.store.postgres import Connection, Database
    from reconsent.workers.batches import ReadBatch

Result = TypeVar("Result")


class BeingRecorded(NamedTuple, Generic[Result]):
    """A batch, and what becomes of it."""

    understood: ReadBatch
    recording: Future[Result]


class Recording(Generic[Result]):
    """Records batches in the background, with their offsets, and ends them in order."""

    def __init__(
        self, database: Database, group: str, record: Callable[[Connection, ReadBatch], Result]
    ) -> None:
        """Take what records a batch in a transaction that moves the group's offset."""
        self._database = database
        self._group = group
        self._record = record
        self._workers = ThreadPoolExecutor(RECORDED_AT_ONCE, "intake")
        self._begun: deque[BeingRecorded[Result]] = deque()

    def __len__(self) -> int:
        """Return how many batches have begun and not been ended."""
        return len(self._begun)

    @property
    def busy(self) -> bool:
        """Whether one of them is still being recorded."""
        return not all(one.recording.done() for one in self._begun)

    def has_room_for(self, understood: ReadBatch) -> bool:
        """Tell whether a batch may begin beside those that have begun."""
        return len(self) < RECORDED_AT_ONCE and not any(
            one.understood.same_partition(understood.batch) for one in self._begun
        )

    def begin(self, understood: ReadBatch) -> None:
        """Begin to record a batch, which is to be ended by `next`."""
        self._begun.append(self.start(understood))

    def next(self) -> BeingRecorded[Result]:
        """Return the batch that began first, which then counts as ended."""
        return self._begun.popleft()

    def start(self, understood: ReadBatch) -> BeingRecorded[Result]:
        """Begin to record a batch; on return its offset is moved and locked until that has ended.

        Until then nobody can take the partition over while the consumer is polled again.
        """
        advanced: Future[None] = Future()

        def work(connection: Connection) -> Result:
            advance(connection, self._group, understood.batch)
            if not advanced.done():
                advanced.set_result(None)
            return self._record(connection, understood)

        def record() -> Result:
            try:
                return self._database.transaction(work)
            except BaseException as error:
                if not advanced.done():
                    advanced.set_exception(error)
                raise

        recording = self._workers.submit(record)
        advanced.result()
        return BeingRecorded(understood, recording)

    def abandon(self) -> None:
        """Wait for what is being recorded, without regard for its outcome."""
        wait([one.recording for one in self._begun])
        self._begun.clear()
