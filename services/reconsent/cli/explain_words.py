"""The words of `explain` for each state, answer and reason, with the rule behind it."""

from __future__ import annotations

from typing import Final

STATUS: Final = {
    "active": ("active", 27),
    "deactivated": ("deactivated: gets no mail, and new uses are denied", 23),
    "deleted": ("deleted: name, address and data are erased, answers are kept", 28),
}
STUB: Final = "no account event yet: treated as active, contact all, without an address"
CONTACT: Final = {
    ("all", False): ("all: gets questions, and information where a version asks for it", 10),
    ("all", True): ("all, but unsubscribed: gets questions, but no information", 10),
} | {
    (contact, unsubscribed): words
    for contact, words in (
        ("service", ("service: gets questions, but no information", 10)),
        ("none", ("none: gets no mail at all, and new uses are denied", 23)),
    )
    for unsubscribed in (False, True)
}
"""By contact preference, and whether the person unsubscribed."""
ADDRESS: Final = {
    "ok": ("known", 9),
    "none": ("no usable address", 9),
    "bounced": ("mail to it failed or was reported as spam, so none is sent", 15),
}
SUPPRESSED: Final = {
    "minor": "a minor",
    "deactivated": "the account is deactivated",
    "all_comms_opt_out": "wants no communication at all",
    "not_opted_in": "did not opt in to information, or unsubscribed from it",
    "no_address": "there is no address",
    "bounced": "the address failed before",
    "deleted": "the account was deleted",
    "cancelled": "the release was cancelled",
}
STATE: Final = {
    "planned": ("waits for its release", 9),
    "due": ("about to be mailed", 9),
    "attempting": ("being mailed now", 14),
    "accepted": ("mailed", 12),
    "delivered": ("mailed and delivered", 12),
    "bounced": ("mailed, but it bounced", 15),
    "complained": ("mailed, and reported as spam", 15),
    "rejected": ("rejected by the mail provider", 15),
    "unknown": ("perhaps mailed: the provider has not reported yet", 12),
    "abandoned": ("perhaps mailed: the provider never reported", 12),
}
SETTLED: Final = {
    "answered": ("answered", 12),
    "expired": ("nobody answered in time", 16),
    "void": ("nothing is left to ask", 12),
}
SAID: Final = {
    "ConsentGiven": ("yes", 17),
    "ConsentRefused": ("no", 17),
    "ConsentWithdrawn": ("no, which takes back a yes", 18),
    "ConsentExpired": ("no answer in time", 16),
    "ConsentInvalidated": ("said before the deletion, so it no longer applies", 18),
}
REASON: Final = {
    "consented": "said yes",
    "pending": "no answer yet, and silence is no",
    "refused": "said no",
    "withdrawn": "took back a yes",
    "expired": "nobody answered in time, and silence is no",
    "account_deleted": "the account was deleted",
}


def under(version: str | None) -> str:
    """Say which version data was collected under."""
    if version is None:
        return "under an unknown version"
    return "under any version" if version == "*" else f"under {version}"
