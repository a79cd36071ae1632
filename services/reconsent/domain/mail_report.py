"""What providers' reports and mail servers' refusals say about a mailbox. RULES 15.

A mailbox that does not exist, is disabled or takes no mail is marked. What speaks of a passing
state, such as a full mailbox, of the mail or of its sender marks nothing: the notice is
undelivered, and its account is asked again later.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Mark = Literal["bounced", "complained"]
"""Why nothing is sent to a mailbox."""

NOT_THE_ADDRESS: Final = "blocked: "
"""Prefix of a bounce's or drop's reason if the mailbox is not to blame."""

# RFC 3463: class, subject and detail. What looks like it may be a part of an IP address.
_ENHANCED: Final = re.compile(r"(?<![\w.])([245])\.(\d{1,3})\.(\d{1,3})(?![\w.]*\.\d)(?!\w)")
_REPLY: Final = re.compile(r"(?:^|[\s:;])([245]\d\d)(?=[\s-]|$)")
# "Other or undefined status": it says nothing.
_UNDEFINED: Final = ("0", "0")
_OF_THE_ADDRESS: Final = "1"
# Of the subject address, what speaks of the sender's.
_OF_THE_SENDER: Final = frozenset({"7", "8"})
_DISABLED: Final = ("2", "1")
_NO_SUCH_MAILBOX: Final = "550"
# A full mailbox, in servers that have no enhanced codes.
_FULL: Final = "552"
# Why SendGrid drops a mail, in its words.
_REPORTED_AS_SPAM: Final = "spam reporting address"
_NOT_THE_MAILBOX: Final = (
    NOT_THE_ADDRESS.strip(), "spam content", "invalid smtpapi header",
    "recipient list over package quota", "unsubscribed address",
)  # fmt: skip


def mark_of(event: str, reason: str | None) -> Mark | None:
    """Return how a report on `mail-events` marks the mailbox, if it does.

    A bounce or drop speaks of the mailbox unless its reason says otherwise: a provider calls it
    that only when it has given up.
    """
    if event == "complained":
        return "complained"
    if event not in {"bounced", "dropped"}:
        return None
    words = (reason or "").casefold()
    if event == "dropped" and words.startswith(_REPORTED_AS_SPAM):
        return "complained"
    if words.startswith(_NOT_THE_MAILBOX):
        return None
    if (by_code := _by_enhanced_code(words)) is not None:
        return "bounced" if by_code else None
    reply = _REPLY.search(words)
    passing = reply is not None and (reply[1].startswith("4") or reply[1] == _FULL)
    return None if passing else "bounced"


def speaks_of_mailbox(words: str, *, to_recipient: bool) -> bool:
    """Tell whether a mail server's permanent refusal, from its code on, speaks of the mailbox.

    `to_recipient`: it is, or may be, the reply to RCPT rather than to the sender or the mail.
    """
    if (by_code := _by_enhanced_code(words)) is not None:
        return by_code
    reply = _REPLY.search(words)
    return to_recipient and reply is not None and reply[1] == _NO_SUCH_MAILBOX


def impersonal(event: str, reason: str | None) -> str | None:
    """Return the reason of a report without anything personal, but with the same judgement."""
    if event not in {"bounced", "dropped"}:
        return None
    match mark_of(event, reason):
        case "complained":
            return _REPORTED_AS_SPAM
        case "bounced":
            return None
        case None:
            return NOT_THE_ADDRESS


def _by_enhanced_code(words: str) -> bool | None:
    """Tell whether the first enhanced code that says anything speaks of the mailbox."""
    for class_, subject, detail in _ENHANCED.findall(words):
        if (subject, detail) == _UNDEFINED:
            continue
        if class_ != "5":
            return False
        if subject == _OF_THE_ADDRESS:
            return detail not in _OF_THE_SENDER
        return (subject, detail) == _DISABLED
    return None
