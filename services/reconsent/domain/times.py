"""Times and durations in interfaces."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError

_DURATION = TypeAdapter(timedelta)
_DURATION_FORM = re.compile(r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?")


def rfc3339(at: datetime | None) -> str | None:
    """Format a time as RFC 3339 in UTC; None stays None."""
    return as_written(at.astimezone(UTC)) if at else None


def as_written(at: datetime) -> str:
    """Format a time as RFC 3339 with its own offset."""
    return at.isoformat().replace("+00:00", "Z")


def duration(text: str) -> timedelta:
    """Parse an ISO 8601 duration; a year is 365 days and a month 30. Raises ValueError."""
    if not _DURATION_FORM.fullmatch(text):
        message = f"{text!r} is not an ISO 8601 duration such as P30D"
        raise ValueError(message)
    try:
        return _DURATION.validate_python(text)
    except ValidationError as error:
        message = f"{text!r} is out of range for a duration"
        raise ValueError(message) from error
