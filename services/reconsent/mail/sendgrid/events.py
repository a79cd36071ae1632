"""SendGrid's webhook events, converted to mail events. RULES 15."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard
from uuid import UUID

from pydantic import ValidationError

from reconsent.domain.errors import BadInputError
from reconsent.domain.event import MailEvent, mistake
from reconsent.domain.mail_report import NOT_THE_ADDRESS
from reconsent.domain.surrogates import storable
from reconsent.mail.address import without_addresses

_REPORTED: Final = {
    "delivered": "delivered",
    "deferred": "deferred",
    "bounce": "bounced",
    "blocked": "bounced",
    "dropped": "dropped",
    "spamreport": "complained",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
}
# A resubscription lifts a block of SendGrid's own. It does not undo an unsubscribe that is
# recorded here, and scanners follow links.
_UNIMPORTANT: Final = frozenset({"processed", "open", "click", "group_resubscribe"})
_OF_MAILBOX: Final = frozenset({"bounced", "dropped", "complained", "unsubscribed"})
"""What counts by an address alone; that other mail to it was delivered says nothing of ours."""
_LONGEST_REASON: Final = 500
_STATUS: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Reports:
    """The content of one post of the webhook."""

    mail: list[MailEvent] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    """How many events were ignored, by kind, or because they are about other mail."""
    unreadable: list[str] = field(default_factory=list)
    """Errors in events about our notices: `place.field: what is wrong`."""


def read_events(body: str, now: datetime) -> Reports:
    """Parse a post. Raises BadInputError if it is not a JSON array of objects."""
    try:
        events = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInputError("the body is not valid JSON") from error
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise BadInputError("the body is not a JSON array of objects")
    reports = Reports()
    for place, event in enumerate(events):
        try:
            _read(event, now, reports)
        except ValidationError as error:
            reports.unreadable.append(f"{place}.{mistake(error)}")
        except BadInputError as error:
            reports.unreadable.append(f"{place}.{error}")
    # Reports of one form are recorded at once.
    reports.mail.sort(key=lambda said: said.notice is None)
    return reports


def _read(event: dict[str, Any], now: datetime, reports: Reports) -> None:
    """Add one event to the reports."""
    kind = event.get("event")
    named = _named(event)
    if named is None:
        reports.ignored["about other mail"] += 1
    elif not isinstance(kind, str) or kind not in _REPORTED:
        known = isinstance(kind, str) and kind in _UNIMPORTANT
        reports.ignored[str(kind) if known else "of another kind"] += 1
    elif "email" in named and _REPORTED[kind] not in _OF_MAILBOX:
        reports.ignored["about other mail"] += 1
    else:
        said = MailEvent.model_validate(
            named
            | {
                "event": _REPORTED[kind],
                "occurred_at": min(_moment(event.get("timestamp")), now),
                "reason": _reason(kind, event),
                "provider_id": _text(event.get("sg_event_id")),
            }
        )
        reports.mail.append(said)


def _named(event: dict[str, Any]) -> dict[str, Any] | None:
    """Return what an event is about: a notice, or an address if it says nothing of a notice.

    A bounce that comes late has lost what the mail was sent with.
    """
    if "reconsent_notice" in event:
        notice = event["reconsent_notice"]
        return {"notice": notice} if _is_notice(notice) else None
    email = _text(event.get("email"))
    return {"email": email} if email else None


def _is_notice(value: object) -> TypeGuard[str]:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def _moment(value: object) -> datetime:
    """Parse seconds since 1970. Raises BadInputError."""
    try:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise BadInputError("timestamp: should be a time in seconds since 1970")


def _reason(kind: str, event: dict[str, Any]) -> str | None:
    """Return the reason of an event, without addresses.

    It is marked if the address is not to blame: the server rejected this mail, not the mailbox.
    """
    words = without_addresses(_text(event.get("reason")) or _text(event.get("response")) or "")
    status = _text(event.get("status"))
    if kind == "bounce" and status and _STATUS.fullmatch(status) and status not in words:
        words = f"{status} {words}"
    words = words[:_LONGEST_REASON]
    # Of another type are mails that were blocked, or given up.
    if kind == "blocked" or (kind == "bounce" and (event.get("type") or "bounce") != "bounce"):
        return NOT_THE_ADDRESS + words
    # A receiving server must not be able to set that mark.
    return words.removeprefix(NOT_THE_ADDRESS) or None


def _text(value: object) -> str | None:
    return storable(value) if isinstance(value, str) and value else None
