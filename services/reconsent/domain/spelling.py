"""Names that nobody knows here, and the known one that was probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

_MISSPELT: Final = 0.93
"""From here on, a name is hardly anything but another one misspelt."""


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return a question that ends a message about an unknown name; empty if none is close."""
    near = get_close_matches(name, known, n=1)
    return f": did you mean {near[0]}?" if near else ""


def is_misspelt(name: str, known: Collection[str]) -> bool:
    """Tell whether a name can hardly mean anything but a known one."""
    return bool(get_close_matches(name, known, n=1, cutoff=_MISSPELT))
