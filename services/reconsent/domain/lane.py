"""Lanes: an import records in several at a time, with each account in one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from reconsent.domain.event import AccountEvent, ChoiceEvent, CollectionEvent

LANES: Final = 2


def lane_of(data: AccountEvent | CollectionEvent | ChoiceEvent) -> int:
    """Return the lane of an event's account, the same whenever the file is read."""
    return crc32(f"{data.property}/{data.account}".encode()) % LANES
