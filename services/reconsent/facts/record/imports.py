"""Imports of files: how far each came, noted with what is recorded of it.

Like the stream's offsets, a position moves in the transaction that records the events before it, so
an import that ended early is carried on where it ended, and counts each event once.
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
    """How many events of a file were taken, and what they told."""

    events: int = 0
    new: int = 0
    unchanged: int = 0
    refused: int = 0


class FileImport:
    """One file's import, known by its topic and by the hash of its content."""

    def __init__(self, recorder: Recorder, topic: str, content: bytes) -> None:
        self._recorder = recorder
        self._file = {"topic": topic, "content": content}

    def begin(self, connection: Connection) -> Progress:
        """Return how far an import of the same content came that has not ended."""
        [progress] = all_rows(connection, Progress, SQL["begin"], self._file)
        return progress

    def record(
        self, connection: Connection, before: Progress, received: Sequence[Received]
    ) -> tuple[Progress, Counts]:
        """Record the events that follow; return how far the import came by that.

        Raises OutsideError, after which the transaction must be rolled back, when somebody else
        imports the same.
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
            raise OutsideError("another import of the same file is at work, or has just ended")
        return after, counts

    def end(self, connection: Connection) -> None:
        """Forget how far it came, for it came to the end."""
        connection.execute(SQL["end"], self._file)
