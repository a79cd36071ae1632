"""The id of a notice, in whatever spelling it comes back from others."""

from __future__ import annotations

from uuid import UUID


def notice_id(text: str) -> UUID | None:
    """Return the id that a text spells; None if it is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        return None


def one_spelling(text: str) -> str:
    """Return an id as it is stored, and erased by; what is not an id stays as it is."""
    found = notice_id(text)
    return text if found is None else str(found)
