"""Delivery status notifications (RFC 3464): what became of a mail for each of its recipients."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.address import UnusableAddressError, usable_address
from reconsent.domain.mail_report import NOT_THE_ADDRESS, speaks_of_mailbox
from reconsent.mail.address import without_addresses
from reconsent.mail.reports.parts import Fields, addresses, first, groups

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUS: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})

_EVENTS: Final[Mapping[str, str | None]] = {
    "failed": "bounced",
    "delayed": "deferred",
    "delivered": "delivered",
    # Handed to a system that reports nothing, or to several people.
    "relayed": None,
    "expanded": None,
}
_BY_CLASS: Final = {"2": "delivered", "4": "delayed", "5": "failed"}
_STATUS: Final = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})(?!\d)", re.ASCII)
# How Postfix, Exim and sendmail tell that it was the recipient that a server refused.
_TO_RECIPIENT: Final = re.compile(
    r"in\s+reply\s+to\s+RCPT\s+TO|after\s+RCPT\s+TO|>>>\s*RCPT\s+TO", re.IGNORECASE
)
# RFC 6533 escapes what is not ASCII.
_ESCAPED: Final = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_LONGEST_REASON: Final = 500


class Outcome(NamedTuple):
    """What became of a mail: an event, the address, when in the words of the report, and why."""

    event: str
    email: str | None
    at: str | None
    reason: str | None


def outcomes(status: bytes, words: str) -> list[Outcome] | None:
    """Read the status of each recipient, where it says anything; None if there are none.

    `words` is the text for people, which tells what a server refused.
    """
    recipients = [one for one in groups(status) if {"action", "final-recipient"} & one.keys()]
    found = [_outcome(recipient, words) for recipient in recipients]
    return [one for one in found if one] if recipients else None


def email_of(field: str | None) -> str | None:
    """Return the address of a field such as `rfc822; ann@example.com`, if it is usable."""
    type_, _, rest = (field or "").rpartition(";")
    if type_.strip().lower() == "utf-8":
        rest = _ESCAPED.sub(_unescaped, rest)
    try:
        return next(map(usable_address, addresses(rest)), None)
    except UnusableAddressError:
        return None


def _unescaped(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return "\ufffd" if code > 0x10FFFF or 0xD800 <= code < 0xE000 else chr(code)  # noqa: PLR2004


def _outcome(recipient: Fields, words: str) -> Outcome | None:
    status = _STATUS.match(first(recipient, "status") or "")
    action = (first(recipient, "action") or "").partition(" ")[0].lower()
    if action not in _EVENTS and status:
        action = _BY_CLASS[status[1]]
    event = _EVENTS.get(action)
    if event is None:
        return None
    asked = email_of(first(recipient, "original-recipient"))
    return Outcome(
        event=event,
        email=asked or email_of(first(recipient, "final-recipient")),
        at=first(recipient, "last-attempt-date"),
        reason=_reason(event, recipient, to_recipient=_TO_RECIPIENT.search(words) is not None),
    )


def _reason(event: str, recipient: Fields, *, to_recipient: bool) -> str | None:
    """Return why, marked unless it speaks of the mailbox. RULES 15."""
    code = _STATUS.match(first(recipient, "status") or "")
    said = first(recipient, "diagnostic-code") or ""
    words = f"{code[0].strip() if code else ''} {said}"
    reason = without_addresses(words)[:_LONGEST_REASON]
    if event != "bounced" or speaks_of_mailbox(words, to_recipient=to_recipient):
        return reason or None
    return NOT_THE_ADDRESS + reason
