"""Times in interfaces."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(at: datetime | None) -> str | None:
    """Format a time as RFC 3339 in UTC; None stays None."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
