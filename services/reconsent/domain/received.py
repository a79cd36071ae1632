"""An event as it was received."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from reconsent.domain.event import Event


class Received(NamedTuple):
    """One decoded event; source and id identify a choice within its account.

    `came_in`: when the bus took it in; None where nobody but its sender says so.
    """

    topic: str
    source: str
    id: str
    data: Event
    came_in: datetime | None = None
