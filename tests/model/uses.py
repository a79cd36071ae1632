"""What versions declare and decisions cover, as plain values (RULES 2, 3, 5, 6 and 10)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

ANY = "*"  # left out in a decision; unlike None, which is the unknown version

Document = Mapping[str, Any]  # a policy file as JSON
Use = tuple[str, str, str]  # (data_category, data_use, recipient), as a version declares it
Pair = tuple[str, str | None]  # (data_category, collected_under), as an account holds it
Item = tuple[str, str | None, str, str]  # (data_category, collected_under, data_use, recipient)

_DURATION = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?"
)


def instant(value: str | datetime) -> datetime:
    """Return an RFC 3339 time, or a datetime with a zone, in UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC)


def duration(value: str) -> timedelta:
    """Return an ISO 8601 duration; a year is 365 days, a month 30 (RULES 10)."""
    found = _DURATION.fullmatch(value)
    if found is None:
        raise ValueError(f"not an ISO 8601 duration: {value}")
    years, months, weeks, days, hours, minutes, seconds = (int(n or 0) for n in found.groups())
    days += years * 365 + months * 30 + weeks * 7
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def above(parent: str, child: str) -> bool:
    """Return whether a dotted key equals the other or is a parent of it."""
    return parent == child or child.startswith(parent + ".")


def narrower(one: str, other: str) -> str | None:
    """Return the narrower key if one is above the other (ANY is above all), else None."""
    if one == ANY or above(one, other):
        return other
    return one if other == ANY or above(other, one) else None


def covers(x: Item, y: Item) -> bool:
    """RULES 3: x includes everything in y."""
    return (
        (x[0] == ANY or above(x[0], y[0]))
        and x[1] in (ANY, y[1])
        and above(x[2], y[2])
        and x[3] in (ANY, y[3])
    )


def meet(x: Item, y: Item) -> Item | None:
    """RULES 3: the intersection of x and y, None if it is empty."""
    category, use = narrower(x[0], y[0]), narrower(x[2], y[2])
    same_version = x[1] == y[1] or ANY in (x[1], y[1])
    same_recipient = x[3] == y[3] or ANY in (x[3], y[3])
    if category is None or use is None or not same_version or not same_recipient:
        return None
    return category, y[1] if x[1] == ANY else x[1], use, y[3] if x[3] == ANY else x[3]


def declared(version: Document) -> set[Use]:
    """RULES 2: each use of each row, by the controllers themselves and by each listed recipient.

    A row with `controller: false` is the listed recipients' alone.
    """
    controllers = (version["controller"], *(version.get("joint_controllers") or ()))
    return {
        (row["data"], use, recipient)
        for row in version["declares"]
        for use in row["uses"]
        for recipient in (
            *(controllers if row.get("controller", True) else ()),
            *(row.get("recipients") or ()),
        )
    }


def declares(version: Document | None, category: str, use: str, recipient: str) -> bool:
    """Return whether a version declares a use that covers this one; None declares nothing."""
    return version is not None and any(
        above(c, category) and above(u, use) and r == recipient for c, u, r in declared(version)
    )


def new_uses(
    held: Iterable[Pair], latest: Document, published: Mapping[str | None, Document]
) -> set[Item]:
    """RULES 5 and 6: uses of held data by the latest version that its own does not declare."""
    candidates: set[Item] = set()
    for category, under in held:
        for c, use, recipient in declared(latest):
            about = narrower(category, c)
            if about and not declares(published.get(under), about, use, recipient):
                candidates.add((about, under, use, recipient))
    return {
        item
        for item in candidates
        if not any(other != item and covers(other, item) for other in candidates)
    }


def longest_retention(version: Document, category: str, use: str) -> timedelta:
    """The longest retention of the declared uses that cover this one; not given is unlimited."""
    return max(
        (
            duration(row["retention"]) if row.get("retention") else timedelta.max
            for row in version["declares"]
            if above(row["data"], category) and any(above(u, use) for u in row["uses"])
        ),
        default=timedelta.max,  # not declared: a new use, which is material anyway
    )


def material(version: Document, followed: Document | None) -> bool:
    """RULES 10: a version is material compared to the one it follows; the first never is."""
    if followed is None:
        return False
    return (
        bool((version.get("notice") or {}).get("material"))
        or version["controller"] != followed["controller"]
        or any(
            len({country for country in countries if country}) > 1
            for key in version.get("parties") or {}
            if (countries := [_country(one, key) for one in (version, followed)])
        )
        or any(not declares(followed, *use) for use in declared(version))
        or any(
            (duration(row["retention"]) if row.get("retention") else timedelta.max)
            > longest_retention(followed, row["data"], use)
            for row in version["declares"]
            for use in row["uses"]
        )
    )


def _country(version: Document, party: str) -> str | None:
    return ((version.get("parties") or {}).get(party) or {}).get("country")
