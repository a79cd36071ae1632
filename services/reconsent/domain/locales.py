"""Choosing a reader's locale among those on offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconsent.domain.policy import PolicyVersion


def normal(locale: str) -> str:
    """Return a locale in canonical form: lower case, hyphens, Norwegian `no` as Bokmål `nb`."""
    language, *rest = locale.strip().lower().replace("_", "-").split("-")
    return "-".join(["nb" if language == "no" else language, *rest])


def match(wanted: str, offered: Iterable[str]) -> str | None:
    """Return the best match for a locale: itself, its language, or the language elsewhere."""
    by_normal = {normal(locale): locale for locale in reversed(tuple(offered))}
    exact = normal(wanted)
    language = exact.split("-")[0]
    for candidate in (exact, language):
        if candidate in by_normal:
            return by_normal[candidate]
    related = (locale for name, locale in by_normal.items() if name.split("-")[0] == language)
    return next(related, None)


def best_locale(wanted: str | None, version: PolicyVersion) -> str:
    """Return the locale of a version's texts that best matches a locale or Accept-Language header.

    nb-NO matches nb; if nothing matches, the version's first locale.
    """
    return best_of(wanted, version.texts) or next(iter(version.texts))


def best_of(wanted: str | None, offered: Iterable[str]) -> str | None:
    """Return the offered locale that best matches a locale or Accept-Language header, if any."""
    names = tuple(offered)
    found = (match(locale, names) for locale in _by_preference(wanted or ""))
    return next((locale for locale in found if locale), None)


def _by_preference(wanted: str) -> list[str]:
    """List the locales of an Accept-Language header, most preferred first."""
    weighed = []
    for entry in wanted.split(","):
        locale, _, parameter = entry.partition(";")
        _, _, quality = parameter.partition("=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        if locale.strip() and weight > 0:
            weighed.append((weight, locale.strip()))
    return [locale for _, locale in sorted(weighed, key=lambda pair: -pair[0])]
