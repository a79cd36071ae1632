"""Imports of files, with their progress.

Like the stream's offsets, the position moves in the transaction that records the events before it.
So an interrupted import resumes where it stopped, and counts each event once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconsent.domain.errors import OutsideError
from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.cloudevents import Received
    from reconsent.domain.recorded import Counts
    from reconsent.facts.record.recorder import Recorder
    from reconsent.store.postgres import Connection

SQL = named("record/imports")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many events of a file were recorded, and their results."""

    events: int = 0
    new: int = 0
    unchanged: int = 0
    refused: int = 0


class FileImport:
    """One file's import, identified by its topic and the hash of its content."""

    def __init__(self, recorder: Recorder, topic: str, content: bytes) -> None:
        self._recorder = recorder
        self._file = {"topic": topic, "content": content}

    def begin(self, connection: Connection) -> Progress:
        """Return the progress of an unfinished import of the same content; start one if none."""
        [progress] = all_rows(connection, Progress, SQL["begin"], self._file)
        return progress

    def record(
        self, connection: Connection, before: Progress, received: Sequence[Received]
    ) -> tuple[Progress, Counts]:
        """Record the next events; return the import's progress after them.

        Raises OutsideError if another import of the same file has moved the position; the
        transaction must then be rolled back.
        """
        counts = self._recorder.record(connection, received)
        after = Progress(
            events=before.events + len(received),
            new=before.new + counts.new,
            unchanged=before.unchanged + counts.unchanged,
            refused=before.refused + len(counts.refused),
        )
        noted = self._file | vars(after) | {"before": before.events}
        if not connection.execute(SQL["advance"], noted).rowcount:
            raise OutsideError("another import of the same file is running, or has just ended")
        return after, counts

    def end(self, connection: Connection) -> None:
        """Delete the progress of the finished import."""
        connection.execute(SQL["end"], self._file)
