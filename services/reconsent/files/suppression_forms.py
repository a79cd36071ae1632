"""The forms of lists of suppressed addresses: reconsent's own, and what mail providers export.

Each is recognised by its columns, or by the fields of its JSON objects.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from reconsent.domain.mail_report import NOT_THE_ADDRESS

Said = Literal["bounced", "complained", "unsubscribed"]
"""Why an address is on a list."""
Row = Mapping[str, object]

_LONGEST_TIME: Final = 100
_YEARS: Final = range(1980, 9000)
# Python would leave out that it is after noon.
_HALF_DAY: Final = re.compile(r"\d\s*[ap]\.?m\b", re.IGNORECASE)
_NOT_A_TIME: Final = "should be a time: RFC 3339, RFC 2822 or seconds since 1970"


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form of lists.

    `reasons` says what the values of the column `reason` mean; for all others, `otherwise` says why
    an address is on the list. If there is neither, the list does not say.
    """

    source: str
    columns: frozenset[str]
    """The columns by which it is recognised."""
    email: str
    at: Sequence[str]
    """The columns of the time; the first that is filled in counts."""
    reason: str | None = None
    reasons: Mapping[str, Said] = field(default_factory=dict)
    otherwise: Said | None = None
    words: Sequence[str] = ()
    """The columns of the receiving server's reply."""

    @property
    def tells(self) -> bool:
        """Whether it says why an address is on the list."""
        return self.reason is not None or self.otherwise is not None

    def said(self, row: Row) -> Said:
        """Return why an address is on the list. Raises ValueError."""
        value = text(row, self.reason).casefold() if self.reason else ""
        found = self.reasons.get(value, self.otherwise)
        if found is None:
            known = ", ".join(self.reasons)
            message = f"{self.reason}: should be one of {known}"
            raise ValueError(message)
        return found

    def time(self, row: Row) -> datetime:
        """Return since when an address is on the list. Raises ValueError."""
        name = next((name for name in self.at if text(row, name)), self.at[0])
        found = _moment(row.get(name))
        if found is None:
            message = f"{name}: {_NOT_A_TIME}"
            raise ValueError(message)
        return found

    def reply(self, row: Row) -> str:
        """Return what the receiving server replied, marked if that was a passing state."""
        said = " ".join(filter(None, (text(row, name) for name in self.words)))
        return NOT_THE_ADDRESS + said if said.startswith("4") else said


def text(row: Row, name: str) -> str:
    """Return a field of a row as text; empty if it is missing."""
    value = row.get(name)
    return "" if value is None else str(value).strip()


def form_of(columns: Collection[str]) -> Form | None:
    """Return the form that has these columns; the first, as the later ones have fewer."""
    return next((form for form in FORMS if form.columns <= set(columns)), None)


def _moment(value: object) -> datetime | None:
    """Parse a time; one without a zone is in UTC."""
    found = None
    if isinstance(value, str):
        value = value.strip()[:_LONGEST_TIME]
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        if not isinstance(value, str) or value.replace(".", "", 1).isdecimal():
            found = datetime.fromtimestamp(float(value), UTC)
        elif _HALF_DAY.search(value):
            return None
        elif value[:4].isdecimal():
            found = datetime.fromisoformat(value.removesuffix(" UTC"))
        else:
            found = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
    if found.year not in _YEARS:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


OWN: Final = Form(
    source="reconsent",
    columns=frozenset({"email", "reason", "occurred_at"}),
    email="email",
    at=["occurred_at"],
    reason="reason",
    reasons={
        "bounced": "bounced",
        "complained": "complained",
        "unsubscribed": "unsubscribed",
    },
)
_SENDGRID: Final = "SendGrid"
_MAILCHIMP: Final = "Mailchimp"
_MAILGUN: Final = "Mailgun"
FORMS: Final = (
    OWN,
    Form(
        # Bounces, and invalid emails, which have no status.
        source=_SENDGRID,
        columns=frozenset({"email", "reason", "created"}),
        email="email",
        at=["created"],
        otherwise="bounced",
        words=["status", "reason"],
    ),
    Form(
        source=_SENDGRID,
        columns=frozenset({"email", "created", "ip"}),
        email="email",
        at=["created"],
        otherwise="complained",
    ),
    Form(
        # Group unsubscribes.
        source=_SENDGRID,
        columns=frozenset({"email", "created_at", "group_id"}),
        email="email",
        at=["created_at"],
        otherwise="unsubscribed",
    ),
    Form(
        # Global unsubscribes, and spam reports without an IP address.
        source=_SENDGRID,
        columns=frozenset({"email", "created"}),
        email="email",
        at=["created"],
    ),
    Form(
        source=_MAILCHIMP,
        columns=frozenset({"Email Address", "UNSUB_TIME"}),
        email="Email Address",
        at=["UNSUB_TIME", "LAST_CHANGED"],
        reason="UNSUB_REASON",
        reasons={"abuse": "complained", "abuse complaint": "complained"},
        otherwise="unsubscribed",
    ),
    Form(
        source=_MAILCHIMP,
        columns=frozenset({"Email Address", "CLEAN_TIME"}),
        email="Email Address",
        at=["CLEAN_TIME", "LAST_CHANGED"],
        otherwise="bounced",
    ),
    Form(
        source=_MAILGUN,
        columns=frozenset({"address", "code", "error", "created_at"}),
        email="address",
        at=["created_at"],
        otherwise="bounced",
        words=["code", "error"],
    ),
    Form(
        source=_MAILGUN,
        columns=frozenset({"address", "tags", "created_at"}),
        email="address",
        at=["created_at"],
        otherwise="unsubscribed",
    ),
    Form(
        source=_MAILGUN,
        columns=frozenset({"address", "created_at"}),
        email="address",
        at=["created_at"],
        otherwise="complained",
    ),
    Form(
        source="Amazon SES",
        columns=frozenset({"EmailAddress", "Reason", "LastUpdateTime"}),
        email="EmailAddress",
        at=["LastUpdateTime"],
        reason="Reason",
        reasons={"bounce": "bounced", "complaint": "complained"},
    ),
    Form(
        source="Postmark",
        columns=frozenset({"EmailAddress", "SuppressionReason", "CreatedAt"}),
        email="EmailAddress",
        at=["CreatedAt"],
        reason="SuppressionReason",
        reasons={
            "hardbounce": "bounced",
            "spamcomplaint": "complained",
            "manualsuppression": "unsubscribed",
        },
    ),
)
LISTS: Final = ("SuppressedDestinationSummaries", "Suppressions", "items")
"""The field of a JSON document that has the list: of Amazon SES, Postmark and Mailgun."""
SOURCES: Final = tuple(dict.fromkeys(form.source for form in FORMS if form is not OWN))
