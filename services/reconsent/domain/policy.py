"""Policies and their versions, as privacy engineers write them. RULES 1, 2, 5, 10.

A `PolicyVersion` is one policy file with every text inline, immutable. A `Policy` is the line of
versions published so far, oldest first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
)

from reconsent.domain.fields import DottedKey, PartyKey
from reconsent.domain.times import duration
from reconsent.domain.use import Declared, Held, Use, broadest, declares, narrower, over

if TYPE_CHECKING:
    from collections.abc import Iterable

_LIFETIME = timedelta(days=36_500)
PROPERTY_NOTICE_LASTS = timedelta(days=30)

_INSTANT_FORM = re.compile(r"\d{4}-\d\d-\d\d")


def _is_duration(text: str) -> str:
    duration(text)
    return text


def _not_a_number(given: object) -> object:
    """Reject numbers, which pydantic would read as seconds since 1970."""
    if isinstance(given, datetime) or (isinstance(given, str) and _INSTANT_FORM.match(given)):
        return given
    raise ValueError(f"{given!r} is not a time such as 2027-01-15T00:00:00Z")


def _in_range(instant: datetime) -> datetime:
    try:
        instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{instant.isoformat()} is out of range for a time") from error
    return instant


Instant = Annotated[AwareDatetime, BeforeValidator(_not_a_number), AfterValidator(_in_range)]
"""A time in RFC 3339 with the offset as written, so that people read the day that was meant."""

PolicyName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
]
VersionName = PolicyName
PropertyName = Annotated[str, StringConstraints(pattern=r"^[^\s/\x00]+$", max_length=200)]
Locale = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")]
Duration = Annotated[str, AfterValidator(_is_duration)]
Phrase = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class _Strict(BaseModel):
    """A part of the policy file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Party(_Strict):
    """Who uses data, with the name and the country that people read."""

    name: Phrase
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None

    def moved_from(self, before: Party | None) -> bool:
        """Tell whether another country was named before. RULES 10."""
        countries = (before.country if before else None, self.country)
        return None not in countries and countries[0] != countries[1]


class Row(_Strict):
    """One row of `declares`: data put to uses by the controllers and each recipient.

    With `controller: false` by the listed recipients alone.
    """

    data: DottedKey
    uses: Annotated[tuple[DottedKey, ...], Field(min_length=1)]
    recipients: tuple[PartyKey, ...] = ()
    controller: StrictBool = True
    retention: Duration | None = None
    legal_basis: Phrase | None = None

    @property
    def kept_for(self) -> timedelta:
        """How long the data is kept; forever if no retention is given."""
        return duration(self.retention) if self.retention else timedelta.max


class Text(_Strict):
    """A version's text in one locale; `body` is Markdown."""

    title: Phrase
    summary: Phrase
    body: str


class NoticeSettings(_Strict):
    """How people are informed about a version."""

    material: StrictBool = False
    information_mail: Literal["opted_in", "nobody"] = "nobody"
    respond_by: Duration | None = None
    reminders: tuple[Duration, ...] = ()


class PolicyVersion(_Strict):
    """One version of a policy: the policy file with every text's body inline."""

    policy: PolicyName
    version: VersionName
    follows: VersionName | None
    effective_at: Instant
    controller: PartyKey
    joint_controllers: tuple[PartyKey, ...] = ()
    parties: dict[PartyKey, Party] = {}
    properties: Annotated[tuple[PropertyName, ...], Field(min_length=1)]
    declares: tuple[Row, ...]
    texts: Annotated[dict[Locale, Text], Field(min_length=1)]
    notice: NoticeSettings = NoticeSettings()
    words: dict[Locale, dict[str, Phrase]] = {}

    @cached_property
    def declared(self) -> frozenset[Declared]:
        """Every use, by each party that a row declares it for. RULES 2."""
        return frozenset(
            Declared(row.data, data_use, party)
            for row in self.declares
            for data_use in row.uses
            for party in self.users(row)
        )

    @property
    def controllers(self) -> tuple[str, ...]:
        """The controller, and those who are responsible together with it."""
        return tuple(dict.fromkeys((self.controller, *self.joint_controllers)))

    def users(self, row: Row) -> tuple[str, ...]:
        """Return the parties that a row declares its uses for. RULES 2."""
        controllers = self.controllers if row.controller else ()
        return tuple(dict.fromkeys((*controllers, *row.recipients)))

    def declares_use(self, category: str, data_use: str, recipient: str) -> bool:
        """Tell whether a use that this version declares covers the given one."""
        return declares(self.declared, category, data_use, recipient)

    @property
    def zone(self) -> tzinfo:
        """The offset of `effective_at` as written."""
        return self.effective_at.tzinfo or UTC

    @property
    def first_locale(self) -> str:
        """The locale for readers of none of the others."""
        return next(iter(self.texts))

    @property
    def respond_within(self) -> timedelta | None:
        """How long a mailed question stays open; None, or more than a lifetime, is forever."""
        within = duration(self.notice.respond_by) if self.notice.respond_by else _LIFETIME
        return within if within < _LIFETIME else None

    @property
    def reminders(self) -> tuple[Reminder, ...]:
        """When people are reminded of an open question, earliest first. RULES 16."""
        end = self.respond_within or _LIFETIME
        offsets = sorted({duration(offset) for offset in self.notice.reminders})
        times = [offset for offset in offsets if offset < end]
        return tuple(
            Reminder(number, after, until)
            for number, (after, until) in enumerate(pairwise([*times, end]), 1)
        )


class Reminder(NamedTuple):
    """The number-th reminder of a question, sent some time after its mail and before `until`."""

    number: int
    after: timedelta
    until: timedelta


def is_material(version: PolicyVersion, followed: PolicyVersion | None) -> bool:
    """Tell whether a version changes enough to need a prominent notice. RULES 10."""
    if followed is None:
        return False
    return (
        version.notice.material
        or version.controller != followed.controller
        or any(p.moved_from(followed.parties.get(key)) for key, p in version.parties.items())
        or any(not followed.declares_use(*declared) for declared in version.declared)
        or any(keeps_longer(row, followed) for row in version.declares)
    )


def keeps_longer(row: Row, followed: PolicyVersion) -> bool:
    """Tell whether a row keeps its data longer than the version followed does. RULES 10."""
    return any(
        row.kept_for > kept
        for data_use in row.uses
        if (kept := _kept(followed, row, data_use)) is not None
    )


def _kept(version: PolicyVersion, row: Row, data_use: str) -> timedelta | None:
    covering = [
        other.kept_for
        for other in version.declares
        if over(other.data, row.data) and any(over(use, data_use) for use in other.uses)
    ]
    return max(covering, default=None)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A line of published versions, oldest first; never empty."""

    name: str
    versions: tuple[PolicyVersion, ...]

    @property
    def latest(self) -> PolicyVersion:
        """The version published last, effective or not."""
        return self.versions[-1]

    @cached_property
    def by_name(self) -> dict[str, PolicyVersion]:
        """The published versions by name."""
        return {version.version: version for version in self.versions}

    def in_force(self, at: datetime) -> PolicyVersion:
        """Return the last version effective at a time; the first one before any is."""
        effective = [version for version in self.versions if version.effective_at <= at]
        return effective[-1] if effective else self.versions[0]

    def followed_by(self, version: PolicyVersion) -> PolicyVersion | None:
        """Return the version that another one follows; None for the first."""
        return self.by_name[version.follows] if version.follows else None

    def first_declaring(self, category: str, data_use: str, recipient: str) -> PolicyVersion | None:
        """Return the version that is effective first of those that declare a use. RULES 24."""
        declaring = [v for v in self.versions if v.declares_use(category, data_use, recipient)]
        return min(declaring, key=lambda version: version.effective_at, default=None)

    def yes_counts_from(self, uses: Iterable[Use]) -> datetime | None:
        """Return when a yes counts for all of some uses that are declared. RULES 24.

        Different versions may have declared them first. None if none of them is declared.
        """
        first = (self.first_declaring(u.data_category, u.data_use, u.recipient) for u in uses)
        return max((version.effective_at for version in first if version), default=None)

    @property
    def latest_material(self) -> PolicyVersion | None:
        """The last material version, if any."""
        for version in reversed(self.versions):
            if is_material(version, self.followed_by(version)):
                return version
        return None

    def new_uses(self, holdings: Iterable[Held]) -> frozenset[Use]:
        """Return the new uses that the latest version declares for held data. RULES 5, 6."""
        return broadest(use for held in holdings for use in self._new_uses(held))

    def _new_uses(self, held: Held) -> Iterable[Use]:
        collected_under = None
        if held.collected_under is not None:
            collected_under = self.by_name.get(held.collected_under)
            if collected_under is None:  # not published (yet): left out. RULES 4
                return
        for row in self.latest.declared:
            category = narrower(held.data_category, row.data_category)
            if category is None or (
                collected_under and collected_under.declares_use(category, *row[1:])
            ):
                continue
            yield Use(category, held.collected_under, *row[1:])
