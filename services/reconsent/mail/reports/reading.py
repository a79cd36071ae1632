"""Reports that come as mails, converted to mail events. RULES 15.

The notice is found by the first of these that a report has: a signed return path, the
X-Reconsent-Notice of the mail that it returns, the address that the mail went to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.errors import BadInputError
from reconsent.domain.event import MailEvent
from reconsent.domain.notice_id import notice_id
from reconsent.mail.reports.complaints import FEEDBACK, complaint
from reconsent.mail.reports.delivery import STATUS, Outcome, outcomes
from reconsent.mail.reports.parts import (
    Fields,
    Part,
    addresses,
    first,
    header,
    message,
    multiparts,
    text,
)

if TYPE_CHECKING:
    from uuid import UUID

    from reconsent.mail.return_path import ReturnPath

_RETURNED: Final = frozenset(
    {
        "message/rfc822",
        "text/rfc822-headers",
        "message/rfc822-headers",
        "message/global",
        "message/global-headers",
    }
)
_ADDRESSED: Final = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to")
_LONGEST_TEXT: Final = 100_000
_LONGEST_DATE: Final = 100
_YEARS: Final = range(1980, 9000)
_NOT_A_REPORT: Final = (
    "not a report: it has no part of type message/delivery-status (RFC 3464)"
    " or message/feedback-report (RFC 5965)"
)
_FORGED: Final = "its return path is not one that was signed with this RECONSENT_SECRET"


class Report(NamedTuple):
    """What a mail reports: about a notice, or about the addresses of its outcomes."""

    notice: UUID | None
    outcomes: Sequence[Outcome]


class Reader:
    """Reads reports.

    `return_path` is where bounces come back to. If `only_signed`, a report counts only where it has
    a return path that we have signed: anybody can write the rest.
    """

    def __init__(self, return_path: ReturnPath | None, *, only_signed: bool = False) -> None:
        """Take the return path, if there is one."""
        self._return_path = return_path
        self._only_signed = only_signed

    def events(self, content: bytes, recipient: str | None, now: datetime) -> list[MailEvent]:
        """Read the report of a mail that came to an address, if it is known to which.

        Returns nothing for a report that decides nothing. Raises BadInputError if it is not a
        report, or if it names neither a notice nor an address.
        """
        mail = message(content)
        parts = _parts_of_report(mail)
        report = Report(self._notice(mail, parts, recipient), _outcomes(parts))
        if not report.outcomes:
            return []
        # A mail without a date at least says when it was received.
        received = (first(mail.fields, "received") or "").rpartition(";")[2]
        dates = [first(mail.fields, "date"), received]
        id_ = sha256((first(mail.fields, "message-id") or "").encode() or content).hexdigest()
        events = [
            _event(name, outcome, _moment([outcome.at, *dates], now), f"mail {id_}")
            for name, outcome in _named(report)
        ]
        if not events:
            raise BadInputError("the report names neither a notice nor an address")
        return events

    def _notice(self, mail: Part, parts: Sequence[Part], recipient: str | None) -> UUID | None:
        """Return the notice that a report names. Raises BadInputError for a forged return path."""
        returned = [header(part.decoded) for part in parts if part.type in _RETURNED]
        if found := self._signed(mail.fields, parts, returned, recipient):
            return found
        if self._only_signed:
            raise BadInputError("the report has no return path that was signed here")
        for fields in returned:
            if found := notice_id(first(fields, "x-reconsent-notice") or ""):
                return found
        return None

    def _signed(
        self,
        fields: Fields,
        parts: Sequence[Part],
        returned: Sequence[Fields],
        recipient: str | None,
    ) -> UUID | None:
        returns = self._return_path
        if returns is None:
            return None
        came_to = [*addresses(recipient or ""), *_addresses(fields, _ADDRESSED)]
        sent_from = [
            address
            for part in parts
            if part.type == FEEDBACK
            for address in _addresses(header(part.decoded), ["original-mail-from"])
        ]
        sent_from += [address for one in returned for address in _addresses(one, ["return-path"])]
        signed = (returns.notice(address) for address in [*came_to, *sent_from])
        found = next(filter(None, signed), None)
        if found is None and any(map(returns.has, came_to)):
            raise BadInputError(_FORGED)
        return found


def _parts_of_report(mail: Part) -> list[Part]:
    for parts in multiparts(mail):
        if any(part.type in STATUS or part.type == FEEDBACK for part in parts):
            return parts
    raise BadInputError(_NOT_A_REPORT)


def _outcomes(parts: Sequence[Part]) -> list[Outcome]:
    for part in parts:
        if part.type == FEEDBACK:
            found = complaint(header(part.decoded))
            return [found] if found else []
        if part.type in STATUS:
            known = outcomes(part.decoded, _words(parts))
            if known is not None:
                return known
    raise BadInputError("not a report: no recipient has an Action or a Final-Recipient")


def _words(parts: Sequence[Part]) -> str:
    """Return the text for people, which comes first."""
    for part in [*parts[0].children, parts[0]]:
        if part.type == "text/plain":
            return text(part)[:_LONGEST_TEXT]
    return ""


def _named(report: Report) -> Iterator[tuple[dict[str, str], Outcome]]:
    """Yield what each mail event is about, by a field of it."""
    if report.notice:
        # The mail had one recipient; the others are where it was passed on to.
        ranks = {"delivered": 0, "complained": 0, "bounced": 1, "deferred": 2}
        yield {"notice": str(report.notice)}, min(report.outcomes, key=lambda one: ranks[one.event])
        return
    for outcome in report.outcomes:
        if outcome.email:
            yield {"email": outcome.email}, outcome


def _event(
    name: dict[str, str], outcome: Outcome, occurred_at: datetime, provider_id: str
) -> MailEvent:
    said = {
        "event": outcome.event,
        "occurred_at": occurred_at,
        "reason": outcome.reason,
        "provider_id": provider_id,
    }
    return MailEvent.model_validate(name | said)


def _addresses(fields: Fields, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        for value in fields.get(name, ()):
            yield from addresses(value)


def _moment(dates: Sequence[str | None], now: datetime) -> datetime:
    """Return the first date that is a valid one, so that a report has the same again; else now."""
    for date in dates:
        try:
            found = parsedate_to_datetime((date or "")[:_LONGEST_DATE])
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        if found.year in _YEARS:
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    return now
