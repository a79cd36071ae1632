"""The time zone in which a person reads times: their own, else that of the policy's readers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from babel.core import get_global
from babel.dates import get_timezone
from langcodes import Language
from langcodes.tag_parser import LanguageTagError

from reconsent.domain.locales import normal

if TYPE_CHECKING:
    from datetime import tzinfo

    from reconsent.domain.policy import PolicyVersion

_SEASONS: Final = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))


def zone(time_zone: str | None, otherwise: tzinfo) -> tzinfo:
    """Return a time zone by its name, or another one if there is no such zone."""
    return _named(time_zone) or otherwise


def readers_zone(time_zone: str | None, version: PolicyVersion) -> tzinfo | None:
    """Return the time zone of a person who reads a version; None if nothing tells.

    It is their own, else the offset that the version's effective date is written in. Where that is
    UTC, which says little of its readers, it is the time in the country of the version's first
    locale, else of its controller, if that has one time for all.
    """
    written = version.effective_at
    if written.utcoffset():
        return zone(time_zone, version.zone)
    # A policy need not name its controller.
    controller = version.parties.get(version.controller)
    return (
        _named(time_zone)
        or _of_country(_country_of(version.first_locale))
        or _of_country(controller.country if controller else None)
    )


def offset(at: datetime) -> str:
    """Return the offset of a time from UTC, such as UTC+01:00."""
    written = at.strftime("%z")
    return f"UTC{written[:3]}:{written[3:5]}"


def _named(time_zone: str | None) -> tzinfo | None:
    try:
        return get_timezone(time_zone) if time_zone else None
    except (LookupError, ValueError):
        return None


@lru_cache
def _country_of(locale: str) -> str | None:
    """Return the country that a locale names, else the one where most speak its language."""
    try:
        return Language.get(normal(locale)).maximize().territory
    except LanguageTagError:
        return None


@lru_cache
def _of_country(country: str | None) -> tzinfo | None:
    """Return a time zone of a country in which all zones have the same time."""
    names = sorted(name for name, of in get_global("zone_territories").items() if of == country)
    zones = [found for name in names if (found := _named(name))]
    times: set[tuple[timedelta | None, ...]] = {
        tuple(at.astimezone(one).utcoffset() for at in _SEASONS) for one in zones
    }
    return zones[0] if len(times) == 1 else None
