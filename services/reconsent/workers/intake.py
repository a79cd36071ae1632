"""Take events off the bus and make facts of them, exactly once.

A batch and the offset after it are written in one transaction, which also checks that the partition
is still ours. A message that cannot be read, or that the rules refuse, goes to the dead letters in
the same transaction. Too many in a row stop their topic: then the messages are not at fault. An
unexpected error does, too. Other topics go on, and the topic is tried again after pauses that grow.

While PostgreSQL records batches, the next one is fetched and read (recording.py).
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from typing_extensions import override

from reconsent.domain.errors import ReconsentError, RefusedError, StoppedError
from reconsent.facts.record.mailbox_reports import erase_unknown_in_dead_letters
from reconsent.facts.record.recorder import Recorder, Rows
from reconsent.facts.versions import PublishedVersions
from reconsent.store.log import append_dead_letter
from reconsent.store.offsets import FencedError
from reconsent.store.stops import clear_stop, is_accepted, record_stop
from reconsent.telemetry.log_events import MESSAGE_DEAD_LETTERED, TOPIC_GOES_ON, TOPIC_STOPPED
from reconsent.workers.batches import ReadBatch, read_batch
from reconsent.workers.name_counts import NameCounts
from reconsent.workers.recording import Recording
from reconsent.workers.service import Service
from reconsent.workers.stops import Stops, UnusableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from reconsent.domain.bus import Batch, Consumer, Message
    from reconsent.domain.received import Received
    from reconsent.store.postgres import Connection, Database
    from reconsent.workers.recording import BeingRecorded
    from reconsent.workers.stops import Place

GROUP: Final = "reconsent"
BATCH: Final = 10_000
PATIENCE: Final = 1.0
TOO_MANY_DEAD: Final = 100
_REFUSED: Final = frozenset({"mail-events", "policy-versions"})
"""The topics of which recording refuses messages that can be read."""


class _Dead(NamedTuple):
    """How many messages in a row, up to the end of a batch, became dead letters."""

    place: Place
    in_a_row: int

    @property
    def too_many(self) -> bool:
        """Whether only somebody who accepted them let so many become dead letters."""
        return self.in_a_row >= TOO_MANY_DEAD


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read from a consumer that `consume` opens, and from a new one after each failure.

        `patience` is how many seconds to wait for messages at a time; `now` as for a Recorder.
        `ahead` fetches the next batch while one is being recorded. It is not for a bus from which
        recording erases messages. `clock` counts the seconds of pauses.
        """
        self._patience = patience
        self._ahead = ahead
        self._database = database
        self._consume = consume
        self._recorder = Recorder(PublishedVersions(), address_hash, now)
        self._address_hash = address_hash
        self._names = NameCounts(database, PublishedVersions())
        self._consumer: Consumer | None = None
        self._recording = Recording(database, GROUP, self._record)
        self._dead_in_a_row: dict[str, int] = {}
        self._stops = Stops(clock)

    @override
    def work(self) -> bool:
        """Take one batch and finish recording the one before; False where none came."""
        try:
            if self._consumer is None:
                self._consumer = self._consume()
            patience = 0 if self._recording else self._patience
            waiting = self._stops.waiting()
            batch = self._consumer.poll(BATCH, patience, waiting)
            understood = self._read_or_stop(self._consumer, batch) if batch else None
            recorded = len(self._recording) > 0
            stopped = self._make_room(self._consumer, understood)
            if understood and not any(map(understood.same_partition, stopped)):
                self._recording.begin(understood)
            if not self._ahead:
                self._make_room(self._consumer, None)
            if not batch and not recorded:
                self._clear_stops(waiting)
        except FencedError:
            self.close()  # another consumer has the partition: begin again at the stored offset
        except BaseException:
            self.close()
            raise
        else:
            return recorded or batch is not None
        return True

    @override
    def obstacle(self) -> StoppedError | None:
        """Return why messages that are there wait, after `work` found nothing else."""
        reasons = self._stops.reasons()
        if not reasons:
            return None
        place = min(reasons)
        return StoppedError(reasons[place])

    def _read_or_stop(self, consumer: Consumer, batch: Batch) -> ReadBatch | None:
        """Read a batch; None if its topic is stopped because that failed unexpectedly."""
        try:
            return read_batch(batch, self._rows)
        except ReconsentError:
            raise
        except Exception as error:  # noqa: BLE001 (no topic may end the others)
            place = (batch.messages[0].topic, batch.partition)
            self._stop(consumer, batch, UnusableError.unexpected(place, error))
            return None

    def _rows(self, received: Sequence[Received]) -> Rows | None:
        """Write events as they are staged while another batch is still being recorded."""
        return self._recorder.rows(received) if self._recording.busy else None

    @override
    def close(self) -> None:
        """Give the partitions back, once the batches at work are recorded."""
        self._recording.abandon()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def _make_room(self, consumer: Consumer, wanted: ReadBatch | None) -> list[Batch]:
        """Finish recording until a batch may begin, or all of it if there is none.

        Returns the batches that were put back because their topics are stopped.
        """
        if wanted and self._is_suspect(wanted):
            wanted = None
        stopped = []
        while self._recording and not (wanted and self._recording.has_room_for(wanted)):
            if left := self._finish_or_stop(consumer):
                stopped.append(left)
                # Polls are counted: whatever is dropped after one, all before it is recorded.
                wanted = None
        return stopped

    def _is_suspect(self, understood: ReadBatch) -> bool:
        """Tell whether a batch may stop its topic: what is unusable is counted in order."""
        topic = understood.place[0] if understood.place else ""
        return (
            bool(understood.unreadable)
            or topic in _REFUSED
            or self._dead_in_a_row.get(topic, 0) > 0
        )

    def _finish(self, one: BeingRecorded[_Dead | None]) -> None:
        """Wait until a batch is recorded."""
        try:
            dead = one.recording.result()
        except ReconsentError:
            raise
        except Exception as error:
            if one.understood.place is None:
                raise
            raise UnusableError.unexpected(one.understood.place, error) from error
        self._names.count([received for _, received in one.understood.events])
        if dead is None:
            return
        self._dead_in_a_row[dead.place[0]] = dead.in_a_row
        if dead.too_many:
            self._stops.accepted(dead.place)
        elif self._stops.goes_on(dead.place, one.understood.batch.epoch):
            TOPIC_GOES_ON.log(topic=dead.place[0], partition=dead.place[1])

    def _clear_stops(self, without: Collection[str]) -> None:
        """Record that nothing is left to read where this process was stopped.

        That is not known of some topics.
        """
        for place in self._stops.besides(without):
            self._database.transaction(partial(clear_stop, partition=place))
            self._stops.forget(place)
            TOPIC_GOES_ON.log(topic=place[0], partition=place[1])

    def _finish_or_stop(self, consumer: Consumer) -> Batch | None:
        """Finish the first batch; return it, or its rest, put back because its topic is stopped."""
        first = self._recording.next()
        try:
            self._finish(first)
        except UnusableError as error:
            left = self._record_before(first.understood, error)
            self._stop(consumer, left, error)
            return left
        return None

    def _stop(self, consumer: Consumer, left: Batch, error: UnusableError) -> None:
        """Stop a topic at what is left of a batch."""
        reason = str(error)
        self._database.transaction(partial(record_stop, partition=error.place, reason=reason))
        consumer.put_back(left)
        # The traceback of what was unexpected, once for the same error in a row.
        cause = error.__cause__ if self._stops.reasons().get(error.place) != reason else None
        TOPIC_STOPPED.log(error=reason, pause=self._stops.stop(error.place, reason), exc_info=cause)

    def _record_before(self, understood: ReadBatch, error: UnusableError) -> Batch:
        """Record what comes before the messages that cannot be used; return the rest."""
        batch = understood.batch
        if not error.first:
            return batch
        usable = understood.before(error.first)
        try:
            self._finish(self._recording.start(usable))
        except UnusableError:  # refused only now: all of it waits
            return batch
        start = usable.batch.next_offset
        return replace(batch, start_offset=start, messages=batch.messages[error.first :])

    def _record(self, connection: Connection, understood: ReadBatch) -> _Dead | None:
        """Record a batch; return how many messages in a row, up to its end, were dead-lettered."""
        batch, events, rows, unreadable = understood
        dead = dict(unreadable)
        if rows is None or self._recorder.may_count_otherwise(connection, rows):
            counts = self._recorder.record(connection, [received for _, received in events])
        else:
            # The bus may have another name for the topic.
            counts = self._recorder.record_rows(connection, events[0][1].topic, rows.text)
        for at, why in counts.refused:
            dead[events[at][0]] = RefusedError(why)
        place = understood.place
        if place is None:
            return None
        run = self._dead_run(connection, place, batch.messages, dead)
        for position in sorted(dead):
            MESSAGE_DEAD_LETTERED.log(topic=batch.topic, reason=dead[position])
            append_dead_letter(connection, batch.messages[position], GROUP, dead[position])
        erase_unknown_in_dead_letters(
            connection, [batch.messages[at] for at in dead], self._address_hash
        )
        # What was accepted stays so until a message can be used.
        if not run.too_many and self._stops.may_be_stopped(place, batch.epoch):
            clear_stop(connection, place)
        return run

    def _dead_run(
        self,
        connection: Connection,
        place: Place,
        messages: Sequence[Message],
        dead: dict[int, ReconsentError],
    ) -> _Dead:
        """Count dead letters in a row, up to the end.

        Raises UnusableError when there are too many, and nobody has accepted them.
        """
        run, first = self._dead_in_a_row.get(place[0], 0), 0
        accepted = False
        for position in range(len(messages)):
            if position not in dead:
                run, first = 0, position + 1
                continue
            run += 1
            if run >= TOO_MANY_DEAD and not accepted:
                accepted = is_accepted(connection, place)
                if not accepted:
                    raise UnusableError.in_a_row(place, first, run, dead[first])
        return _Dead(place, run)
