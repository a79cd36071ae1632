"""What recording a batch of events came to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many events were new or known already, and which were refused: position and reason."""

    new: int = 0
    unchanged: int = 0
    refused: tuple[tuple[int, str], ...] = ()
