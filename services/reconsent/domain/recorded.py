"""The result of recording a batch of events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many events were new or already known, and which were rejected: position and reason.

    `not_ours` counts reports about mails that somebody else sent.
    """

    new: int = 0
    unchanged: int = 0
    not_ours: int = 0
    refused: tuple[tuple[int, str], ...] = ()

    def plus(self, part: Counts, positions: Sequence[int]) -> Counts:
        """Add the counts of a part of the batch; `positions` are those of the part's events."""
        return Counts(
            new=self.new + part.new,
            unchanged=self.unchanged + part.unchanged,
            not_ours=self.not_ours + part.not_ours,
            refused=self.refused + tuple((positions[at], why) for at, why in part.refused),
        )
