"""Recording the events of a file: in lanes side by side, while the next ones are read."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from reconsent import terminal
from reconsent.domain.event import AccountEvent, ChoiceEvent, CollectionEvent
from reconsent.facts.record.imports import Lane, Progress, begin, lane_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from reconsent.domain.recorded import Counts
    from reconsent.facts.record.recorder import Recorder
    from reconsent.files.events import EventFile, Numbered, Show
    from reconsent.store.postgres import Connection, Database

BATCH: Final = 10_000
# Read ahead, so that no lane waits for the other one.
_AHEAD: Final = 3
AGAIN: Final = "run the same command again to continue"


class _Part(NamedTuple):
    """The events of a lane among some of a file, those after one number and up to another."""

    events: list[Numbered]
    after: int
    upto: int


def import_file(
    database: Database, recorders: Sequence[Recorder], events: EventFile, show: Show
) -> Progress:
    """Record the events of a file, after those that an interrupted import has recorded.

    Each recorder has a lane of its own.
    """
    importing = _Importing(database, recorders, events)
    skipped = importing.passed
    if skipped:
        terminal.complain(f"{events.name}: continuing after {skipped:,} of {events.count:,}")
    with ExitStack() as stack:
        workers = [
            stack.enter_context(ThreadPoolExecutor(1, f"import {lane}"))
            for lane in range(len(recorders))
        ]
        for passed, batch in _batches(events, skipped):
            importing.wait(_AHEAD - 1)
            importing.start(workers, batch, passed)
            show(events.position, events.size, passed - skipped)
        importing.wait(0)
    return importing.end()


class _Importing:
    """The lanes of a file, and what each of them is recording."""

    def __init__(
        self, database: Database, recorders: Sequence[Recorder], events: EventFile
    ) -> None:
        self._database = database
        self._file = events
        self._lanes = [
            Lane(recorder, events.topic, events.digest, number)
            for number, recorder in enumerate(recorders)
        ]
        self._done = database.transaction(lambda connection: begin(connection, self._lanes))
        # For each batch that is being recorded, what its lanes will have to report.
        self._recording: deque[list[Future[list[tuple[int, str]]]]] = deque()

    @property
    def passed(self) -> int:
        """How many events of the file all lanes have passed."""
        return min(done.events for done in self._done)

    def start(
        self, workers: Sequence[ThreadPoolExecutor], batch: Sequence[Numbered], upto: int
    ) -> None:
        """Begin to record the next events, up to the file's event number `upto`."""
        parts: list[list[Numbered]] = [[] for _ in self._lanes]
        after = upto - len(batch)
        for at, event in enumerate(batch, after + 1):
            data = cast("AccountEvent | CollectionEvent | ChoiceEvent", event.received.data)
            lane = lane_of(data) % len(parts)
            if at > self._done[lane].events:
                parts[lane].append(event)
        self._recording.append(
            [
                workers[lane].submit(self._record, lane, _Part(part, after, upto))
                for lane, part in enumerate(parts)
                if upto > self._done[lane].events
            ]
        )

    def wait(self, left: int) -> None:
        """Wait until only so many batches are at work; report what was refused, by line."""
        while len(self._recording) > left:
            recorded = self._recording.popleft()
            for _, complaint in sorted(line for one in recorded for line in one.result()):
                terminal.complain(complaint)

    def end(self) -> Progress:
        """Forget the progress of the finished import, and return its sum."""

        def end(connection: Connection) -> None:
            for lane in self._lanes:
                lane.end(connection)

        self._database.transaction(end)
        return Progress(
            events=self._file.count,
            new=sum(done.new for done in self._done),
            unchanged=sum(done.unchanged for done in self._done),
            refused=sum(done.refused for done in self._done),
        )

    def _record(self, lane: int, part: _Part) -> list[tuple[int, str]]:
        """Record a lane's part of a batch; return what is to be reported, by line.

        Records nothing if the part before failed, which must not be left out.
        """
        if self._done[lane].events < part.after:
            return []
        received = [event.received for event in part.events]
        self._done[lane], counts = self._database.transaction(
            lambda connection: self._lanes[lane].record(
                connection, self._done[lane], received, part.upto
            )
        )
        return list(self._complaints(part.events, counts))

    def _complaints(self, events: Sequence[Numbered], counts: Counts) -> Iterator[tuple[int, str]]:
        for position, reason in counts.refused:
            number = events[position].number
            yield number, f"{self._file.name}:{number}: {reason}"
        for number, received in events:
            if isinstance(received.data, AccountEvent) and received.data.email_unusable:
                yield (
                    number,
                    f"{self._file.name}:{number}: email: is not usable; recorded without it",
                )


def _batches(events: EventFile, after: int) -> Iterator[tuple[int, list[Numbered]]]:
    """Read the events after the first few, each batch with the number of its last event."""
    batch: list[Numbered] = []
    for some in events.decoded(after):
        batch += some
        if len(batch) >= BATCH:
            after += len(batch)
            yield after, batch
            batch = []
    if batch:
        yield after + len(batch), batch
