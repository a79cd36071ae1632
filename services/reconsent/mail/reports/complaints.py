"""Complaints that mailbox providers pass on (RFC 5965, Abuse Reporting Format)."""

from __future__ import annotations

from typing import Final

from reconsent.mail.reports.delivery import Outcome, email_of
from reconsent.mail.reports.parts import Fields, first

FEEDBACK: Final = "message/feedback-report"

# Somebody reported the mail as spam or as phishing. The other types speak of software's findings.
_COMPLAINTS: Final = frozenset({"abuse", "fraud"})


def complaint(fields: Fields) -> Outcome | None:
    """Read a complaint; None if it says that the mail is wanted, or nothing about the person."""
    type_ = (first(fields, "feedback-type") or "").lower()
    if type_ not in _COMPLAINTS:
        return None
    return Outcome("complained", email_of(first(fields, "original-rcpt-to")), None, type_)
