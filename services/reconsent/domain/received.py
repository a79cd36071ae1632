"""An event as it was received."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from reconsent.domain.event import Event, time_of

# Kafka's timestamps are whole milliseconds, rounded down.
_ROUNDING: Final = timedelta(milliseconds=1)


CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""What is ahead of its time by no more than this is not worth telling."""


class Received(NamedTuple):
    """One decoded event; source and id identify a choice within its account.

    `came_in`: when the bus took it in; None where nobody but its sender says so.
    """

    topic: str
    source: str
    id: str
    data: Event
    came_in: datetime | None = None

    def counts_by(self, at: datetime) -> bool:
        """Tell whether the event counts at a time: from what it states, or from when it came in."""
        stated_at = time_of(self.data)
        if stated_at and self.came_in and is_ahead(stated_at, self.came_in):
            return self.came_in <= at
        return stated_at is not None and stated_at <= at


def is_ahead(stated_at: datetime, came_in: datetime) -> bool:
    """Tell whether an event that states a time came in before that time. RULES 27."""
    return stated_at >= came_in + _ROUNDING
