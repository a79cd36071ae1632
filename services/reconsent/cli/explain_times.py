"""The times in an account's story, as `explain` shows them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

from reconsent.words.zones import offset, readers_zone, zone

if TYPE_CHECKING:
    from reconsent.domain.policy import PolicyVersion

_TIMES: Final = {
    "accepted_at", "counts_from", "decided_at", "deleted_at", "erased_at", "first_collected_at",
    "since", "stated_at", "updated_at",
}  # fmt: skip


def zone_of(account: dict[str, Any], version: PolicyVersion | None) -> tzinfo:
    """Return the zone of the times that an account's person reads; `version` is the latest."""
    if version is None:
        return zone(account["time_zone"], UTC)
    return readers_zone(account["time_zone"], version) or UTC


def in_zone(value: Any, where: tzinfo) -> Any:  # noqa: ANN401 (any JSON)
    """Return JSON with each time in a zone; an effective date keeps the offset as written."""
    if isinstance(value, list):
        return [in_zone(item, where) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: datetime.fromisoformat(item).astimezone(where).isoformat()
        if key in _TIMES and item
        else in_zone(item, where)
        for key, item in value.items()
    }


def moment(at: str) -> str:
    """Format a time to the minute with its offset."""
    found = datetime.fromisoformat(at)
    return f"{found:%Y-%m-%d %H:%M} {offset(found)}"


def dated_ahead(account: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what was dated ahead of when it came in, with both times."""
    return [
        (one["what"], f"states {stated}, counts from {moment(one['counts_from'])}")
        for one in account["dated_ahead"]
        for stated in [moment(one["stated_at"])]
    ]


def day(at: str) -> str:
    """Format the day of a time, in the offset that it is written in."""
    return f"{datetime.fromisoformat(at):%Y-%m-%d}"


def last_day(held: dict[str, Any]) -> str:
    """Return the last day on which data was collected, a day in UTC; never before the first."""
    return max(day(held["first_collected_at"]), str(held["last_collected_on"]))
