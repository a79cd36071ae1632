"""The cases that the invented people of `people` show, as decks of cards.

A card is repeated in its deck as often as the case should occur. The three versions of each policy
are named by age: OLDEST, MIDDLE, NEWEST; None is an unknown version.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

OLDEST, MIDDLE, NEWEST = 0, 1, 2
UNKNOWN = None


@dataclass(frozen=True, kw_only=True)
class ExamplePolicy:
    """What `people` needs to know of a policy in `examples/`."""

    name: str
    versions: tuple[str, str, str]
    effective: tuple[datetime, datetime]  # of the first two; the newest is not effective yet
    partner: str
    partner_use: str
    locales: tuple[tuple[str, str], ...]  # a deck of locale and time zone
    mail_domain: str


class Place(NamedTuple):
    """A property, and the policy that governs it."""

    policy: ExamplePolicy
    site: str
    opened: int = OLDEST  # the first version that lists the property


class Life(NamedTuple):
    """The states of an account over time."""

    states: tuple[tuple[str, str], ...]  # status and contact, oldest first
    minor: bool = False
    email: bool = True


class Collected(NamedTuple):
    """Data of one category, collected under one version."""

    category: str
    era: int | None  # index of the version that it was collected under
    source: str | None = None
    erased: bool = False


class Spoken(NamedTuple):
    """One answer given by telephone or in an app."""

    answer: str
    data_use: str  # "partner" is replaced by the policy's partner_use
    category: str | None = None
    era: int | None = None
    to_partner: bool = False
    early: bool = False  # given while the middle version was the latest


_ENGLISH, _BRITISH = ("en", "America/Toronto"), ("en-GB", "Europe/London")
_BOKMAL, _NORWAY = ("nb", "Europe/Oslo"), ("nb-NO", "Europe/Oslo")
_GERMAN = ("de", "Europe/Berlin")

_CAMPAIGNER = ExamplePolicy(
    name="campaigner",
    versions=("2014-03", "2017-06", "2026-12"),
    effective=(datetime(2014, 3, 1, tzinfo=UTC), datetime(2017, 6, 28, tzinfo=UTC)),
    partner="adpartner",
    partner_use="marketing.advertising.third_party",
    locales=(*[_ENGLISH] * 12, *[_BRITISH] * 4, *[_GERMAN] * 2, _BOKMAL, _NORWAY),
    mail_domain="example.org",
)
_FAX_NORGE = ExamplePolicy(
    name="fax-norge",
    versions=("2013-05", "2018-05", "2026-12"),
    effective=(datetime(2013, 5, 1, tzinfo=UTC), datetime(2018, 5, 25, tzinfo=UTC)),
    partner="fax-cloud",
    partner_use="essential.service.support",
    locales=(*[_BOKMAL] * 10, *[_NORWAY] * 5, *[_ENGLISH] * 2, _BRITISH, *[_GERMAN] * 2),
    mail_domain="example.no",
)
PLACES = (
    *[Place(_CAMPAIGNER, "campaigner.example")] * 3,
    *[Place(_CAMPAIGNER, "myfax.example")] * 2,
    Place(_CAMPAIGNER, "voice.example"),
    Place(_CAMPAIGNER, "blast.example", opened=MIDDLE),
    *[Place(_FAX_NORGE, "fax.example.no")] * 3,
)

_ALL, _SERVICE, _NONE = ("active", "all"), ("active", "service"), ("active", "none")
_DEACTIVATED, GONE = ("deactivated", "all"), ("deleted", "all")
LIVES = (
    *[Life((_ALL,))] * 62,
    *[Life((_ALL, _SERVICE))] * 14,
    *[Life((_ALL, _NONE))] * 8,
    *[Life((_ALL, _DEACTIVATED))] * 6,
    Life((_NONE, ("deactivated", "none"))),
    Life((_ALL, _NONE, _ALL)),
    *[Life((_ALL, GONE))] * 3,
    Life((_ALL, GONE, _ALL)),
    *[Life((_ALL,), minor=True)] * 2,
    *[Life((_ALL,), email=False)] * 2,
)

_NAME, EMAIL, _ACTIVITY = "user.name", "user.contact.email", "user.behavior"
_PAYMENT, _MESSAGES = "user.payment", "user.content.private"
HISTORIES: tuple[tuple[Collected, ...], ...] = (
    *[tuple(Collected(c, OLDEST) for c in (_NAME, EMAIL, _PAYMENT, _ACTIVITY))] * 24,
    *[(Collected("user.contact", OLDEST),)] * 10,  # broader than what is asked about
    *[(Collected(EMAIL, OLDEST), Collected(EMAIL, MIDDLE), Collected(_ACTIVITY, MIDDLE))] * 16,
    *[tuple(Collected(c, MIDDLE) for c in (_NAME, EMAIL, _ACTIVITY))] * 14,
    *[tuple(Collected(c, NEWEST) for c in (_NAME, EMAIL, _PAYMENT))] * 8,
    *[(Collected(EMAIL, OLDEST), Collected(EMAIL, NEWEST))] * 6,
    *[(Collected(EMAIL, UNKNOWN), Collected(_NAME, UNKNOWN))] * 6,
    # not affected by the change
    *[(Collected(_MESSAGES, MIDDLE), Collected("user.device", MIDDLE))] * 8,
    *[(Collected("user.contact.address", OLDEST, "third_party"), Collected(EMAIL, OLDEST))] * 4,
    *[(Collected(EMAIL, OLDEST, erased=True), Collected(_MESSAGES, OLDEST))] * 3,
    (),
)

_OFFERS, _MEASURING = "marketing.communications.email", "analytics.reporting"
SAYINGS: tuple[tuple[Spoken, ...], ...] = (
    *[(Spoken("allow", _OFFERS, EMAIL),)] * 26,
    *[(Spoken("allow", _OFFERS),)] * 10,
    *[(Spoken("deny", _OFFERS),)] * 18,
    *[(Spoken("deny", "marketing", early=True),)] * 8,
    *[(Spoken("allow", _MEASURING, _ACTIVITY),)] * 8,
    *[(Spoken("deny", _MEASURING, _ACTIVITY, OLDEST),)] * 6,
    *[(Spoken("allow", _OFFERS, EMAIL), Spoken("deny", _OFFERS, EMAIL))] * 6,
    *[(Spoken("deny", _OFFERS, early=True), Spoken("allow", _OFFERS, EMAIL))] * 4,
    *[(Spoken("allow", "partner", to_partner=True),)] * 6,
    *[(Spoken("deny", "partner", to_partner=True),)] * 4,
    *[(Spoken("allow", "functional.feedback", EMAIL, OLDEST, early=True),)] * 4,
)
