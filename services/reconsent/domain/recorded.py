"""The result of recording a batch of events."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many events were new or already known, and which were rejected: position and reason.

    `not_ours` counts reports about mails that somebody else sent.
    """

    new: int = 0
    unchanged: int = 0
    not_ours: int = 0
    refused: tuple[tuple[int, str], ...] = ()
