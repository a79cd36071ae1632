"""Times and durations as policy files and events write them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from pydantic import ValidationError

from reconsent.domain.change import as_event, content_hash
from reconsent.domain.policy import PolicyVersion
from reconsent.domain.times import duration
from tests.drafts import draft, fields


@pytest.mark.parametrize(
    ("text", "days"),
    [("P30D", 30), ("P1Y", 365), ("P1M", 30), ("P2W", 14), ("P1Y2M3D", 428), ("PT24H", 1)],
)
def test_a_year_is_365_days_and_a_month_30(text: str, days: int) -> None:
    """Durations are counted in days of 24 hours."""
    assert duration(text) == timedelta(days=days)


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "7Y", "P1D ", "-P1D", "P-1D", "p1d", "P1.5D", "P1DT", "P999999999999Y"]
)
def test_invalid_durations_are_refused(text: str) -> None:
    """Anything but a whole ISO 8601 duration is a mistake."""
    with pytest.raises(ValueError, match=r"is not an ISO|is out of range"):
        duration(text)


@pytest.mark.parametrize(
    "written",
    ["2027", 2027, 1_800_000_000, "1800000000", "2027-01-15", "2027-01-15T00:00:00", True, None,
     "0001-01-01T00:00:00+01:00", "2027-13-01T00:00:00Z", "tomorrow"],
)  # fmt: skip
def test_times_without_a_zone_are_refused(written: object) -> None:
    """A number is not a valid time, in a file or in an event."""
    with pytest.raises(ValidationError):
        draft(effective_at=written)
    with pytest.raises(ValidationError):
        PolicyVersion.model_validate_json(json.dumps(fields(effective_at=written)))


def test_times_are_kept_as_written() -> None:
    """The same instant written in two zones is the same version, and each keeps its offset."""
    other = draft(effective_at="2027-01-15T01:30:00+01:30")
    assert other == draft()
    assert content_hash(other) == content_hash(draft())
    assert other.effective_at.isoformat() == "2027-01-15T01:30:00+01:30"
    event = json.loads(as_event(other))
    assert event["effective_at"] == "2027-01-15T01:30:00+01:30"
    again = PolicyVersion.model_validate(event)
    assert again.effective_at.isoformat() == "2027-01-15T01:30:00+01:30"
