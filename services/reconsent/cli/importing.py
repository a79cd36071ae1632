"""Recording the events of a file: in lanes side by side, while the next ones are read."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from reconsent import terminal
from reconsent.domain.lane import LANES
from reconsent.facts.record.imports import Batch, Lane, Progress, begin
from reconsent.files.events import read_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from reconsent.domain.recorded import Counts
    from reconsent.facts.record.recorder import Recorder
    from reconsent.files.checking import Part
    from reconsent.files.staging import Block, Show, StagedFile
    from reconsent.store.postgres import Connection, Database

# Read ahead, so that no lane waits for the other one.
_AHEAD: Final = 3
AGAIN: Final = "run the same command again to continue"


def import_file(
    database: Database, recorders: Sequence[Recorder], events: StagedFile, show: Show
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
            stack.enter_context(ThreadPoolExecutor(1, f"import {lane}")) for lane in range(LANES)
        ]
        for block in events.blocks():
            if block.upto > skipped:
                importing.wait(_AHEAD - 1)
                importing.start(workers, block)
                show(block.upto, events.count, block.upto - skipped)
        importing.wait(0)
    return importing.end()


class _Importing:
    """The lanes of a file, and what each of them is recording."""

    def __init__(
        self, database: Database, recorders: Sequence[Recorder], events: StagedFile
    ) -> None:
        self._database = database
        self._file = events
        self._lanes = [
            Lane(recorder, events.topic, events.digest, number)
            for number, recorder in enumerate(recorders)
        ]
        self._done = database.transaction(lambda connection: begin(connection, self._lanes))
        # For each block that is being recorded, what its lanes will have to report.
        self._recording: deque[list[Future[list[tuple[int, str]]]]] = deque()

    @property
    def passed(self) -> int:
        """How many events of the file all lanes have passed."""
        return min(done.events for done in self._done)

    def start(self, workers: Sequence[ThreadPoolExecutor], block: Block) -> None:
        """Begin to record a block."""
        self._recording.append(
            [workers[lane].submit(self._record, lane, block) for lane in range(LANES)]
        )

    def wait(self, left: int) -> None:
        """Wait until only so many blocks are at work; report what was refused, by line."""
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

    def _record(self, lane: int, block: Block) -> list[tuple[int, str]]:
        """Record a lane's part of a block; return what is to be reported, by line.

        Records nothing if the part before failed, which must not be left out.
        """
        done = self._done[lane]
        if not block.after <= done.events < block.upto:
            return []
        part = block.parts[lane].after(done.events - block.after)
        batch = self._batch(part)
        self._done[lane], counts = self._database.transaction(
            lambda connection: self._lanes[lane].record(connection, done, batch, block.upto)
        )
        return [
            (number, f"{self._file.name}:{number}: {what}")
            for number, what in _reported(part, counts, block.lines)
        ]

    def _batch(self, part: Part) -> Batch:
        rules = self._file.rules
        received = [
            read_line(rules.topic, data, rules.now, is_csv=rules.is_csv)[1]
            for _, _, data in part.lines
        ]
        return Batch(part.rows, received)


def _reported(part: Part, counts: Counts, lines: int) -> Iterator[tuple[int, str]]:
    """Yield what is to be reported about a part's events, whose block begins after some lines."""
    for at, reason in counts.refused:
        yield lines + part.lines[at].number, reason
    for noted in part.unusable:
        yield lines + noted.number, noted.what
