"""Accounts: whom the data is about, and what the latest event about them says. RULES 1, 27, 28."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from reconsent.domain.consent import Decision

Status = Literal["active", "deactivated", "deleted"]
Contact = Literal["all", "service", "none"]

_STRICTER_STATUS: Final = {"active": 0, "deactivated": 1, "deleted": 2}
_STRICTER_CONTACT: Final = {"all": 0, "service": 1, "none": 2}


class AccountName(NamedTuple):
    """An account's name as other systems know it."""

    property: str
    account: str


@dataclass(frozen=True, kw_only=True)
class Profile:
    """An account as its events describe it; a stub has had no event yet (`updated_at` None)."""

    status: Status = "active"
    contact: Contact = "all"
    minor: bool = False
    email: str | None = None
    name: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    updated_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def details(self) -> str:
        """Email, locale, name and time zone as JSON with sorted keys."""
        fields = {
            "email": self.email,
            "locale": self.locale,
            "name": self.name,
            "time_zone": self.time_zone,
        }
        return json.dumps(fields, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class AccountState:
    """What decides about mail and about permissions alike."""

    status: Status
    contact: Contact
    minor: bool

    @property
    def opted_out(self) -> Literal["deactivated", "all_comms_opt_out"] | None:
        """Why the account is neither mailed nor its data put to new uses, if so. RULES 9, 23."""
        if self.status == "deactivated":
            return "deactivated"
        return "all_comms_opt_out" if self.contact == "none" else None


@dataclass(frozen=True, kw_only=True)
class PermissionSubject(AccountState):
    """What a permission depends on: the account's state and its standing decisions."""

    decisions: Sequence[Decision] = ()


class Past(NamedTuple):
    """What an account was from a time on."""

    since: datetime
    status: Status
    contact: Contact
    minor: bool


def history(said: Iterable[Past]) -> list[Past]:
    """Return what an account was over time from all that was ever said of it. RULES 27.

    Of what was said as of the same time, the strictest counts.
    """
    found: list[Past] = []
    for since, group in groupby(sorted(said, key=lambda past: past.since), lambda past: past.since):
        equal = list(group)
        past = Past(
            since=since,
            status=max((one.status for one in equal), key=_STRICTER_STATUS.__getitem__),
            contact=max((one.contact for one in equal), key=_STRICTER_CONTACT.__getitem__),
            minor=any(one.minor for one in equal),
        )
        if not found or found[-1][1:] != past[1:]:
            found.append(past)
    return found


def merged(known: Profile, event: Profile) -> Profile:
    """Return the account after one more event; the result is the same in any order. RULES 27, 28.

    The latest `updated_at` wins. Among equal times, the stricter status, contact and minor win,
    and the details whose JSON sorts last. The time of the latest deletion is kept.
    """
    deleted = [known.deleted_at] if known.deleted_at else []
    if event.status == "deleted" and event.updated_at:
        deleted.append(event.updated_at)
    winner = _later(known, event)
    deleted_at = max(deleted, default=None)
    if winner.deleted_at != deleted_at:
        winner = replace(winner, deleted_at=deleted_at)
    return without_person(winner)


def without_person(profile: Profile) -> Profile:
    """Return a profile without name and address, if it is deleted or a minor's. RULES 28."""
    if profile.status == "deleted" or profile.minor:
        # The locale goes too: between equal times, `details` chose it along with the address.
        return replace(profile, email=None, name=None, locale=None, time_zone=None)
    return profile


def strictest(said: Sequence[Profile], details: Profile) -> Profile:
    """Return what was said as of the same time, with the details of one: the strictest counts."""
    return replace(
        details,
        status=max((one.status for one in said), key=_STRICTER_STATUS.__getitem__),
        contact=max((one.contact for one in said), key=_STRICTER_CONTACT.__getitem__),
        minor=any(one.minor for one in said),
    )


def _later(known: Profile, event: Profile) -> Profile:
    if known.updated_at is None or event.updated_at is None or event.updated_at > known.updated_at:
        return event
    if event.updated_at < known.updated_at:
        return known
    return strictest([known, event], max(known, event, key=lambda profile: profile.details))
