"""Choosing a reader's locale among those on offer: RFC 4647, with scripts and kin as CLDR has them.

Someone who wants zh-TW reads zh-Hant rather than zh-Hans, and nn is closer to nb than to en. How
far two locales are apart is CLDR's judgement: 0 is the same, 5 another region, 20 a language that
its readers usually know as well.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from langcodes import tag_distance, tag_is_valid
from langcodes.tag_parser import LanguageTagError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconsent.domain.policy import PolicyVersion

CLOSE: Final = 10
"""At this distance two locales are forms of one language."""
_KIN: Final = 20
"""At this distance readers of one language usually know the other. Beyond, one cannot assume it."""

_LONGEST_TAG: Final = 35
_MOST_WANTED: Final = 20
_FORMS_OF_NORWEGIAN: Final = frozenset({"nb", "nn"})
_MEANS: Final = {"no": "nb"}
_HOME: Final = {"pt": "pt-pt"}
"""Where CLDR sees the larger country in a language without one: those who mean it write pt-BR."""


def normal(locale: str) -> str:
    """Return a locale in canonical form: lower case, hyphens, Norwegian `no` as Bokmål `nb`."""
    language, *rest = locale.strip().lower().replace("_", "-").split("-")
    return "-".join([_MEANS.get(language, language), *rest])


@lru_cache(maxsize=4096)
def is_locale(text: str) -> bool:
    """Tell whether a text names a language, as a locale or as an Accept-Language header."""
    return any(tag_is_valid(normal(locale)) for locale in _by_preference(text))


def match(wanted: str, offered: Iterable[str]) -> str | None:
    """Return the offered locale that is the same language as a locale, in the closest form."""
    return _closest(wanted, tuple(offered), kin=False)


def best_locale(wanted: str | None, version: PolicyVersion) -> str:
    """Return the locale of a version's texts that best matches a locale or Accept-Language header.

    nb-NO matches nb; if nothing matches, the version's first locale.
    """
    return best_of(wanted, version.texts) or next(iter(version.texts))


def best_of(wanted: str | None, offered: Iterable[str]) -> str | None:
    """Return the offered locale that best matches a locale or Accept-Language header, if any.

    A related language is chosen only if none of those wanted is offered.
    """
    names = tuple(offered)
    by_preference = _by_preference(wanted or "")
    found = (_closest(locale, names, kin=kin) for kin in (False, True) for locale in by_preference)
    return next((locale for locale in found if locale), None)


@lru_cache(maxsize=4096)
def _closest(wanted: str, offered: tuple[str, ...], *, kin: bool) -> str | None:
    """Return the closest of the offered locales, the first of equally close ones."""
    tag = normal(wanted)
    for locale in offered:
        if normal(locale) == tag:
            return locale
    ranked = [
        (distance, index)
        for index, locale in enumerate(offered)
        if (distance := _distance(_HOME.get(tag, tag), normal(locale), kin=kin)) is not None
    ]
    return offered[min(ranked)[1]] if ranked else None


def _distance(wanted: str, offered: str, *, kin: bool) -> int | None:
    """Return how far an offered locale is from the wanted one; None if it does not serve."""
    languages = {wanted.partition("-")[0], offered.partition("-")[0]}
    try:
        distance = tag_distance(wanted, offered)
    except LanguageTagError:
        return None
    if distance <= CLOSE or languages == _FORMS_OF_NORWEGIAN:
        return distance
    related = distance <= _KIN or len(languages) == 1
    return distance if kin and related else None


def _by_preference(wanted: str) -> list[str]:
    """List the locales of an Accept-Language header, most preferred first."""
    weighed = []
    for entry in wanted.split(",", _MOST_WANTED)[:_MOST_WANTED]:
        locale, _, parameter = entry.partition(";")
        _, _, quality = parameter.partition("=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        if 0 < len(locale.strip()) <= _LONGEST_TAG and weight > 0:
            weighed.append((weight, locale.strip()))
    return [locale for _, locale in sorted(weighed, key=lambda pair: -pair[0])]
