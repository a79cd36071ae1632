"""How long it takes to mail everybody, and which versions were in force before that was done."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from reconsent.facts.read.counts import NoticeCount
    from reconsent.facts.versions import Policies

_WAITING: Final = frozenset({"planned", "due"})
_UNITS: Final = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1)))


class Late(NamedTuple):
    """A version that is in force while some of its mails still wait."""

    policy: str
    policy_version: str
    effective_at: datetime
    waiting: int


def rollout(mails: int, per_second: float | None) -> timedelta | None:
    """Return how long mails take at a pace; None without mails or a pace."""
    return timedelta(seconds=mails / per_second) if mails and per_second else None


def spoken(span: timedelta) -> str:
    """Return a span in its two largest units, rounded down: 3 h 20 min."""
    parts, left = [], span
    for name, unit in _UNITS:
        if number := left // unit:
            parts.append(f"{number} {name}")
            left -= number * unit
    return " ".join(parts[:2]) or "less than a minute"


def late(policies: Policies, counts: Iterable[NoticeCount], now: datetime) -> list[Late]:
    """List the latest versions that are in force, with how many of their mails still wait."""
    waiting: Counter[tuple[str, str]] = Counter()
    for count in counts:
        if count.state in _WAITING:
            waiting[count.policy, count.policy_version] += count.notices
    latest = (policy.latest for policy in policies.by_name.values())
    return [
        Late(version.policy, version.version, version.effective_at, number)
        for version in latest
        if version.effective_at <= now and (number := waiting[version.policy, version.version])
    ]
