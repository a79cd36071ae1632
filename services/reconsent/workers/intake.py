"""Take events off the bus and make facts of them, exactly once.

A batch and the offset after it are written in one transaction, which also checks that the partition
is still ours. A message that cannot be read, or that the rules refuse, goes to the dead letters in
the same transaction. Too many in a row stop the consumer: then the messages are not at fault.

While PostgreSQL records a batch, the next one is fetched and read. Its transaction begins when the
one before has ended, so batches are still recorded one after another.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final, NamedTuple

from typing_extensions import override

from reconsent.domain.cloudevents import Received, read_at_once
from reconsent.domain.errors import BadInputError, RefusedError, StoppedError
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store.log import append_dead_letter
from reconsent.store.offsets import FencedError, advance
from reconsent.telemetry import MESSAGE_DEAD_LETTERED
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from reconsent.domain.bus import Batch, Consumer, Message
    from reconsent.domain.errors import ReconsentError
    from reconsent.store.postgres import Connection, Database

GROUP: Final = "reconsent"
BATCH: Final = 10_000
_AT_ONCE: Final = 1_000
PATIENCE: Final = 1.0
TOO_MANY_DEAD: Final = 100


class _Read(NamedTuple):
    """A batch as it was read: events with their positions, and the messages that are unreadable.

    `rows` are the events as they are staged, if they can be.
    """

    batch: Batch
    events: list[tuple[int, Received]]
    rows: bytes | None
    unreadable: dict[int, ReconsentError]


class Intake(Service):
    """Reads every input topic for one consumer group."""

    name = "intake"

    def __init__(
        self,
        database: Database,
        consume: Callable[[], Consumer],
        address_hash: Callable[[str], bytes],
        *,
        patience: float = PATIENCE,
        now: Callable[[], datetime] | None = None,
        ahead: bool = False,
    ) -> None:
        """Read from a consumer that `consume` opens, and from a new one after each failure.

        `patience` is how many seconds to wait for messages at a time; `now` as for a Recorder.
        `ahead` fetches the next batch while one is being recorded. It is not for a bus from which
        recording erases messages.
        """
        self._patience = patience
        self._ahead = ahead
        self._database = database
        self._consume = consume
        self._recorder = Recorder(PublishedVersions(), address_hash, now)
        self._consumer: Consumer | None = None
        self._worker = ThreadPoolExecutor(1, "intake")
        self._recording: Future[int] | None = None
        self._dead_in_a_row = 0

    @override
    def work(self) -> bool:
        """Take one batch and finish recording the one before; False where none came."""
        try:
            if self._consumer is None:
                self._consumer = self._consume()
            batch = self._consumer.poll(BATCH, 0 if self._recording else self._patience)
            understood = batch and self._read(batch)
            recorded = self._finish()
            if understood:
                self._begin(understood)
            if not self._ahead:
                self._finish()
        except FencedError:
            self.close()  # another consumer has the partition: begin again at the stored offset
        except BaseException:
            self.close()
            raise
        else:
            return recorded or batch is not None
        return True

    @override
    def close(self) -> None:
        """Give the partitions back, once the batch at work is recorded."""
        if self._recording is not None:
            wait([self._recording])
            self._recording = None
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def _read(self, batch: Batch) -> _Read:
        """Read a batch's messages: some at once, so that one that is malformed delays few."""
        events: list[tuple[int, Received]] = []
        unreadable: dict[int, ReconsentError] = {}
        for start in range(0, len(batch.messages), _AT_ONCE):
            some = read_at_once(batch.messages[start : start + _AT_ONCE])
            for position, found in enumerate(some, start):
                if isinstance(found, BadInputError):
                    unreadable[position] = found
                else:
                    events.append((position, found))
        rows = self._recorder.rows([received for _, received in events])
        return _Read(batch, events, rows, unreadable)

    def _begin(self, understood: _Read) -> None:
        """Begin to record a batch; on return its offset is moved and locked until that has ended.

        Until then nobody can take the partition over while the consumer is polled again.
        """
        advanced: Future[None] = Future()

        def work(connection: Connection) -> int:
            advance(connection, GROUP, understood.batch)
            if not advanced.done():
                advanced.set_result(None)
            return self._record(connection, understood)

        def record() -> int:
            try:
                return self._database.transaction(work)
            except BaseException as error:
                if not advanced.done():
                    advanced.set_exception(error)
                raise

        recording = self._worker.submit(record)
        advanced.result()
        self._recording = recording

    def _finish(self) -> bool:
        """Wait until the previous batch is recorded; False if there was none."""
        if self._recording is None:
            return False
        recording, self._recording = self._recording, None
        self._dead_in_a_row = recording.result()
        return True

    def _record(self, connection: Connection, understood: _Read) -> int:
        """Record a batch; return how many messages in a row, up to its end, were dead-lettered."""
        batch, events, rows, unreadable = understood
        dead = dict(unreadable)
        if rows is None:
            counts = self._recorder.record(connection, [received for _, received in events])
        else:
            # The bus may have another name for the topic.
            counts = self._recorder.record_rows(connection, events[0][1].topic, rows)
        for at, why in counts.refused:
            dead[events[at][0]] = RefusedError(why)
        for position in sorted(dead):
            MESSAGE_DEAD_LETTERED.log(topic=batch.topic, reason=dead[position])
            append_dead_letter(connection, batch.messages[position], GROUP, dead[position])
        return self._dead_run(batch.messages, dead)

    def _dead_run(self, messages: Sequence[Message], dead: dict[int, ReconsentError]) -> int:
        """Count dead letters in a row. Raises StoppedError when there are too many."""
        run = self._dead_in_a_row
        for position, message in enumerate(messages):
            run = run + 1 if position in dead else 0
            if run >= TOO_MANY_DEAD:
                message_text = (
                    f"{message.topic}: {run} messages in a row cannot be used, the last one "
                    f"because of {dead[position]}; stopped rather than dead-letter them all"
                )
                raise StoppedError(message_text)
        return run
