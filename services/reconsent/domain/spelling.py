"""Names that nobody knows here, and the known one that was probably meant."""

from __future__ import annotations

from difflib import SequenceMatcher, get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

_CLOSE: Final = 0.6
_TRIED: Final = 3
_MISSPELT: Final = 0.93
"""From here on, a name is hardly anything but another one misspelt."""


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return a question that ends a message about an unknown name; empty if none is close."""
    for near in get_close_matches(name, known, n=_TRIED, cutoff=_CLOSE):
        if _are_alike(name, near):
            return f": did you mean {near}?"
    return ""


def _are_alike(name: str, other: str) -> bool:
    """Tell whether names are close by more than a common end, such as that of two sites."""
    head, _, end = name.rpartition(".")
    other_head, _, other_end = other.rpartition(".")
    if end != other_end or not (head and other_head):
        return True
    return SequenceMatcher(None, other_head, head).ratio() >= _CLOSE


def is_misspelt(name: str, known: Collection[str]) -> bool:
    """Tell whether a name can hardly mean anything but a known one."""
    return bool(get_close_matches(name, known, n=1, cutoff=_MISSPELT))
