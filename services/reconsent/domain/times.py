"""Times in interfaces."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(at: datetime | None) -> str | None:
    """Format a time as RFC 3339 in UTC; None stays None."""
    return as_written(at.astimezone(UTC)) if at else None


def as_written(at: datetime) -> str:
    """Format a time as RFC 3339 with its own offset."""
    return at.isoformat().replace("+00:00", "Z")
