"""What SendGrid's responses mean for the recipients of a request."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.mail.address import without_addresses

if TYPE_CHECKING:
    from reconsent.domain.mail import Outcome

_LONGEST_REASON: Final = 500
# Not headers, arguments or substitutions: those are ours, the same for everyone.
_RECIPIENT_FIELD: Final = re.compile(r"personalizations(?:\.\d+|\[\d+\])?(?:\.to\b.*)?")


class Response(NamedTuple):
    """How a request ended."""

    outcome: Outcome
    reason: str | None = None
    not_before: datetime | None = None
    """When to ask SendGrid again, if it said so."""
    halves: bool = False
    """Whether a smaller request may do better."""
    fatal: bool = False
    """Whether key, host or mail must be changed before a retry can succeed."""
    doubtful: bool = False
    """Whether it is unclear if the recipient or the mail is at fault."""
    barred: bool = False
    """Whether the key or the sender is rejected; retrying will not help."""


def refusal(error: Any) -> Response:  # noqa: ANN401 -- the client has no types
    """Return what a response other than success means."""
    status = int(error.status_code)
    fields, words = _explained(error.body)
    said = f"SendGrid responded {status}: {words or without_addresses(str(error.reason))}"[
        :_LONGEST_REASON
    ]
    if status == 429:  # noqa: PLR2004 -- Too Many Requests
        until = _moment(error.headers.get("X-RateLimit-Reset"))
        return Response("retry", said + (f"; again from {until:%FT%TZ}" if until else ""), until)
    if status >= 500:  # noqa: PLR2004 -- a server's own error begins here
        return Response("unknown", said)
    if status == 413:  # noqa: PLR2004 -- Content Too Large
        return Response("retry", said, halves=True, fatal=True)
    if status == 400 and not any(fields):  # noqa: PLR2004 -- Bad Request
        return Response("retry", said, halves=True, fatal=True, doubtful=True)
    if status == 400 and all(map(_RECIPIENT_FIELD.fullmatch, fields)):  # noqa: PLR2004 -- Bad Request
        return Response("rejected", said, halves=True)
    if status in {401, 403}:
        return Response("retry", f"SENDGRID_API_KEY, MAIL_FROM: {said}", fatal=True, barred=True)
    return Response("retry", said, fatal=True)


def _explained(body: bytes) -> tuple[list[str], str]:
    """Return the fields that an error document names, and its messages in one line.

    The messages are stored, so addresses are removed.
    """
    try:
        errors = [error for error in json.loads(body)["errors"] if isinstance(error, dict)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return [], ""
    fields = [str(error.get("field") or "") for error in errors]
    words = [
        f"{error.get('message')} ({error['field']})" if error.get("field") else error.get("message")
        for error in errors
    ]
    return fields, without_addresses("; ".join(map(str, words)))


def _moment(reset: str | None) -> datetime | None:
    """Parse when a rate limit ends, in seconds since 1970; None if it does not say."""
    try:
        return datetime.fromtimestamp(int(reset or ""), UTC)
    except (ValueError, OverflowError, OSError):
        return None
