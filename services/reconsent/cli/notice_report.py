"""One notice with its evidence, as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def notice_lines(notice: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a notice, its attempts, its reports and its mail."""
    state = ", ".join(filter(None, (notice["state"], notice["suppression"], notice["settled"])))
    yield (
        f"{notice['property']}/{notice['account']}: {notice['kind']} {notice['sequence']} of "
        f"{notice['policy']} {notice['policy_version']} ({notice['notice']})"
    )
    yield f"  {state}" + (f": {notice['reason']}" if notice["reason"] else "")
    for attempt in notice["attempts"]:
        ended = f" to {attempt['ended_at']}" if attempt["ended_at"] else ""
        yield (
            f"  {attempt['started_at']}{ended}: handed to {attempt['provider']}, "
            f"{attempt['outcome'] or 'not known yet'}"
        )
    for event in notice["events"]:
        reason = f": {event['reason']}" if event["reason"] else ""
        yield f"  {event['occurred_at']}: {event['event']}{reason}"
    if mail := notice["letter"]:
        yield f"  Subject: {mail['subject']}"
        yield from (f"  | {line}" for line in mail["text"].splitlines())
    yield ""
