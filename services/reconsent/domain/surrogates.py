"""Lone surrogates: halves of characters, which JSON can escape and UTF-8 cannot carry. RULES 27.

They come from programs that cut a text in the middle of a character. pydantic rejects JSON that has
one, so they are replaced before it is parsed.
"""

from __future__ import annotations

import re
from typing import Final

# An escaped character that is a pair of surrogates, a lone one, or anything else.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_LONE: Final = re.compile("[\ud800-\udfff]")


def with_nul(data: bytes) -> bytes:
    """Return JSON with each lone surrogate as NUL, which keys reject and free text replaces.

    JSON that has none is returned as it is.
    """
    if b"\\ud" not in data and b"\\uD" not in data:
        return data
    return _ESCAPE.sub(lambda found: b"\\u0000" if found[1] else found[0], data)


def storable(text: str) -> str:
    """Return a text with U+FFFD for what PostgreSQL cannot store: NUL and lone surrogates."""
    return _LONE.sub("\ufffd", text.replace("\0", "\ufffd"))
