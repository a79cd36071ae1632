"""Batches as the intake reads them, before they are recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.bus import Batch
from reconsent.domain.cloudevents import read_at_once
from reconsent.domain.errors import BadInputError, ReconsentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconsent.domain.received import Received
    from reconsent.facts.record.recorder import Rows
    from reconsent.workers.stops import Place

_AT_ONCE: Final = 1_000


class ReadBatch(NamedTuple):
    """A batch as it was read: events with their positions, and the messages that are unreadable.

    `rows` are the events as they are staged, if they can be.
    """

    batch: Batch
    events: list[tuple[int, Received]]
    rows: Rows | None
    unreadable: dict[int, ReconsentError]

    @property
    def place(self) -> Place | None:
        """Where its messages come from, by the topic's own name; None if there are none."""
        messages = self.batch.messages
        return (messages[0].topic, self.batch.partition) if messages else None

    def same_partition(self, other: Batch) -> bool:
        """Tell whether another batch is of the same partition."""
        batch = self.batch
        return (batch.topic, batch.partition) == (other.topic, other.partition)

    def before(self, position: int) -> ReadBatch:
        """Return what comes before a message, as a batch of its own."""
        batch = self.batch
        end = batch.messages[position].offset
        return ReadBatch(
            replace(batch, next_offset=end, messages=batch.messages[:position]),
            [event for event in self.events if event[0] < position],
            None,
            {at: why for at, why in self.unreadable.items() if at < position},
        )


def read_batch(batch: Batch, as_rows: Callable[[Sequence[Received]], Rows | None]) -> ReadBatch:
    """Read a batch's messages: some at once, so that one that is malformed delays few.

    `as_rows` writes events ahead of recording them; None where that is not worth it, or impossible.
    """
    events: list[tuple[int, Received]] = []
    unreadable: dict[int, ReconsentError] = {}
    for start in range(0, len(batch.messages), _AT_ONCE):
        some = read_at_once(batch.messages[start : start + _AT_ONCE])
        for position, found in enumerate(some, start):
            if isinstance(found, BadInputError):
                unreadable[position] = found
            else:
                events.append((position, found))
    rows = as_rows([received for _, received in events])
    return ReadBatch(batch, events, rows, unreadable)
