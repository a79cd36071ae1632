"""The result of recording a batch of events."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many events were new or already known, and which were rejected: position and reason."""

    new: int = 0
    unchanged: int = 0
    refused: tuple[tuple[int, str], ...] = ()
