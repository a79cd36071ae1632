"""The policy pages: the list, a policy's history, and one version.

Texts are untrusted Markdown: they are shown without scripts, styles or images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.domain.change import changes
from reconsent.domain.locales import best_locale
from reconsent.domain.use import Declared
from reconsent.words.frame import page, version_path
from reconsent.words.markdown import html
from reconsent.words.phrases import Words, sentence_case
from reconsent.words.translation import autonym

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.change import Change
    from reconsent.domain.policy import PolicyVersion
    from reconsent.words.views import (
        PoliciesView,
        PolicyHistoryView,
        PolicyVersionView,
        Site,
    )


def policies(view: PoliciesView, site: Site) -> str:
    """Return the page that lists the policies, each with its version in force."""
    entries = [{"words": _in_best(v, view.wanted), "version": v} for v in view.in_force]
    return page("policies", view.language, site, entries=entries)


def policy_history(view: PolicyHistoryView, site: Site) -> str:
    """Return the page of a policy's versions, latest first."""
    latest = Words(version=view.versions[-1], locale=view.locale)
    entries = []
    for version in reversed(view.versions):
        words = _in_best(version, view.locale)
        entries.append(
            {
                "words": words,
                "date": words.date(version.effective_at),
                "in_force": version.version == view.in_force,
                "path": version_path(site, version),
            }
        )
    return page(
        "policy_history",
        latest.language,
        site,
        view=view,
        words=latest,
        entries=entries,
        languages=_languages(latest),
    )


def policy_version(view: PolicyVersionView, site: Site) -> str:
    """Return the page of one version: its text, its changes and its declarations."""
    words = Words(version=view.version, locale=view.locale)
    return page(
        "policy_version",
        words.language,
        site,
        view=view,
        words=words,
        body=html(words.text.body),
        effective_on=words.date(view.version.effective_at),
        changed=changed(words, view.followed),
        rows=[
            {
                "data": sentence_case(words.phrase(row.data)),
                "uses": [words.phrase(data_use) for data_use in row.uses],
                "recipients": [
                    words.party_and_country(key)
                    for key in view.version.users(row)
                    if key != view.version.controller
                ],
                "by_others": not row.controller,
                "kept": words.period(row.retention) if row.retention else None,
                "basis": words.legal_basis(row.legal_basis) if row.legal_basis else None,
            }
            for row in view.version.declares
        ],
        languages=_languages(words),
    )


def changed(words: Words, followed: PolicyVersion | None) -> dict[str, list[str]]:
    """Return a version's changes in words, by kind: new, dropped, longer, shorter, taken_over."""
    found = changes(followed, words.version) if followed else ()
    before = Words(version=followed, locale=words.locale) if followed else words

    def uses(wording: Words, *kinds: str) -> list[str]:
        return wording.declared(
            (
                Declared(change.data_category or "", change.data_use or "", recipient)
                for change in found
                if change.kind in kinds
                for recipient in change.recipients
            ),
            us=words.version.controller,
        )

    return {
        "taken_over": [
            before.party(change.before or "")
            for change in found
            if change.kind == "controller" and change.before not in words.version.controllers
        ],
        "new": uses(words, "new_use", "new_recipient"),
        "dropped": uses(before, "dropped_use", "dropped_recipient"),
        "longer": _kept(words, found, "longer_retention"),
        "shorter": _kept(words, found, "shorter_retention"),
    }


def _kept(words: Words, found: Sequence[Change], kind: str) -> list[str]:
    periods: dict[str, str | None] = {}
    for change in found:
        if change.kind == kind:
            data = sentence_case(words.phrase(change.data_category or ""))
            periods[data] = words.period(change.after) if change.after else None
    without_end = words.catalogue.gettext("without an end")
    return [f"{data}: {period or without_end}" for data, period in periods.items()]


def _in_best(version: PolicyVersion, wanted: str | None) -> Words:
    return Words(version=version, locale=best_locale(wanted, version))


def _languages(words: Words) -> list[dict[str, object]]:
    """Return the languages of a version's texts, each named in that language."""
    return [
        {
            "locale": locale,
            "name": sentence_case(autonym(locale)),
            "current": locale == words.locale,
        }
        for locale in words.version.texts
    ]
