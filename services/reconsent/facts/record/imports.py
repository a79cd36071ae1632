"""Imports of files, with their progress.

A file is recorded in lanes side by side, with each account in one of them, so that the events of
an account stay in order. Like the stream's offsets, the position of a lane moves in the transaction
that records the events before it. So an interrupted import resumes where it stopped, and counts
each event once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from reconsent.domain.errors import OutsideError
from reconsent.domain.recorded import Counts
from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from reconsent.domain.received import Received
    from reconsent.facts.record.recorder import Recorder
    from reconsent.store.postgres import Connection

SQL = named("record/imports")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many events of a file a lane has passed, and the results of those that were its own."""

    events: int = 0
    new: int = 0
    unchanged: int = 0
    refused: int = 0


class Batch(NamedTuple):
    """Some events of a lane, as rows or decoded."""

    rows: bytes = b""
    received: Sequence[Received] = ()


def begin(connection: Connection, lanes: Sequence[Lane]) -> list[Progress]:
    """Return the progress of an unfinished import of the same content; start one if none."""
    first, *others = lanes
    begun = first.begin(connection, Progress())
    # An import that was begun when there was one lane has passed the events of all.
    passed = Progress(events=begun.events)
    return [begun, *(other.begin(connection, passed) for other in others)]


class Lane:
    """A lane of one file's import, identified by its topic and the hash of its content."""

    def __init__(self, recorder: Recorder, topic: str, content: bytes, number: int) -> None:
        self._recorder = recorder
        self._topic = topic
        name = sha256(content + bytes([number])).digest() if number else content
        self._file = {"topic": topic, "content": name}

    def begin(self, connection: Connection, start: Progress) -> Progress:
        """Return the progress of an unfinished lane; start at `start` if there is none."""
        [progress] = all_rows(
            connection, Progress, SQL["begin"], self._file | {"events": start.events}
        )
        return progress

    def record(
        self, connection: Connection, before: Progress, batch: Batch, upto: int
    ) -> tuple[Progress, Counts]:
        """Record the next events, which are the lane's up to the file's event number `upto`.

        Raises OutsideError if another import of the same file has moved the position; the
        transaction must then be rolled back.
        """
        counts = self._recorder.record(connection, batch.received)
        rows = (
            self._recorder.record_rows(connection, self._topic, batch.rows)
            if batch.rows
            else Counts()
        )
        after = Progress(
            events=upto,
            new=before.new + counts.new + rows.new,
            unchanged=before.unchanged + counts.unchanged + rows.unchanged,
            refused=before.refused + len(counts.refused),
        )
        noted = self._file | vars(after) | {"before": before.events}
        if not connection.execute(SQL["advance"], noted).rowcount:
            raise OutsideError("another import of the same file is running, or has just ended")
        return after, counts

    def end(self, connection: Connection) -> None:
        """Delete the progress of the finished lane."""
        connection.execute(SQL["end"], self._file)
