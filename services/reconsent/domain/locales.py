"""Which of the locales that are offered serves a reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconsent.domain.policy import PolicyVersion


def normal(locale: str) -> str:
    """Write a locale in one way: lower case, hyphens, and Norwegian `no` as Bokmål `nb`."""
    language, *rest = locale.strip().lower().replace("_", "-").split("-")
    return "-".join(["nb" if language == "no" else language, *rest])


def match(wanted: str, offered: Iterable[str]) -> str | None:
    """Return the offered locale that serves a wanted one: itself, its language, or a sister."""
    by_normal = {normal(locale): locale for locale in reversed(tuple(offered))}
    exact = normal(wanted)
    language = exact.split("-")[0]
    for candidate in (exact, language):
        if candidate in by_normal:
            return by_normal[candidate]
    sisters = (locale for name, locale in by_normal.items() if name.split("-")[0] == language)
    return next(sisters, None)


def best_locale(wanted: str | None, version: PolicyVersion) -> str:
    """Return the locale of a version's texts that serves a locale or Accept-Language header.

    nb-NO is served by nb; where nothing fits, by the policy's first language.
    """
    return best_of(wanted, version.texts) or next(iter(version.texts))


def best_of(wanted: str | None, offered: Iterable[str]) -> str | None:
    """Return the offered locale that serves a locale or Accept-Language header best, if any."""
    names = tuple(offered)
    found = (match(locale, names) for locale in _by_preference(wanted or ""))
    return next((locale for locale in found if locale), None)


def _by_preference(wanted: str) -> list[str]:
    """List the locales of an Accept-Language header, the most wanted first."""
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
