"""The changes of a policy version, as text and as JSON, for `policy diff`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconsent.domain.change import Change
    from reconsent.domain.policy import PolicyVersion

_INDENT: Final = "  "


def as_json(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Return the changes as JSON objects with the fields of Change."""
    return [asdict(change) for change in changes]


def describe(changes: Iterable[Change], old: PolicyVersion | None, new: PolicyVersion) -> list[str]:
    """Return lines about the changes: of the whole policy first, then by category and use."""
    changes = tuple(changes)
    words = _Words(old, new)
    lines = [_heading(changes, old, new)]
    lines += [_INDENT + words.sentence(c) for c in changes if c.data_category is None]
    for category in dict.fromkeys(c.data_category for c in changes if c.data_category):
        of_category = [c for c in changes if c.data_category == category]
        lines += ["", words.key(category)]
        lines += [_INDENT + words.sentence(c) for c in of_category if c.data_use is None]
        for data_uses, sentences in _by_uses(of_category, words):
            lines.append(_INDENT + ", ".join(map(words.key, data_uses)))
            lines += [2 * _INDENT + sentence for sentence in sentences]
    return lines


def _by_uses(
    of_category: Iterable[Change], words: _Words
) -> Iterable[tuple[tuple[str, ...], list[str]]]:
    """Return each sentence once, with all uses of a category that it is about."""
    uses_of: dict[str, list[str]] = {}
    for change in of_category:
        if change.data_use:
            uses_of.setdefault(words.sentence(change), []).append(change.data_use)
    sentences_of: dict[tuple[str, ...], list[str]] = {}
    for sentence, data_uses in uses_of.items():
        sentences_of.setdefault(tuple(dict.fromkeys(data_uses)), []).append(sentence)
    return sentences_of.items()


def _heading(changes: tuple[Change, ...], old: PolicyVersion | None, new: PolicyVersion) -> str:
    if old is None:
        return (
            f"{new.policy} {new.version} is the first version; it asks only about data of an"
            " unknown version."
        )
    between = f"{new.policy} {new.version} after {old.version}"
    if not changes:
        return f"{between}: nothing changes."
    material = any(change.material for change in changes)
    stored = any(change.stored_data for change in changes)
    return (
        f"{between}: {'a material change' if material else 'no material change'}; "
        f"stored data is {'' if stored else 'not '}affected."
    )


class _Words:
    """The names and phrases that two versions give to parties and keys."""

    def __init__(self, old: PolicyVersion | None, new: PolicyVersion) -> None:
        self._first = old is None
        self._from = f"{new.effective_at:%Y-%m-%d}"
        self._parties = {**(old.parties if old else {}), **new.parties}
        before = old.words.get(new.first_locale, {}) if old else {}
        self._phrases = {**before, **new.words.get(new.first_locale, {})}

    def key(self, key: str) -> str:
        """Format a category or use, with its phrase if there is one."""
        return f"{key} ({self._phrases[key]})" if key in self._phrases else key

    def party(self, key: str | None) -> str:
        """Format a party: name and country, or its key if it is not named."""
        party = self._parties.get(key or "")
        if party is None:
            return str(key)
        return f"{party.name} ({party.country})" if party.country else party.name

    def sentence(self, change: Change) -> str:
        """Describe a change: what, whether it is material, what it means for stored data."""
        what = self._what(change)
        if self._first:
            return what
        marks = ["material" if change.material else "not material"]
        if change.stored_data:
            marks.append("stored data is affected: its owners are asked")
            marks += [self._ends(change)] if change.kind == "controller" else []
        elif change.kind in {"dropped_use", "dropped_recipient"}:
            marks.append("stays allowed for data collected under the old version")
        elif change.kind in {"longer_retention", "shorter_retention"}:
            marks.append("stored data keeps the old version's period")
        else:
            marks.append("stored data is not affected")
        return f"{what}; {'; '.join(marks)}"

    def _ends(self, change: Change) -> str:
        """Say what another controller means for data that is held already."""
        before, after = self.party(change.before), self.party(change.after)
        return (
            f"what {before} may do with it is no permission for {after}, from {self._from} on,"
            " until they say yes"
        )

    def _what(self, change: Change) -> str:
        parties = _and([self.party(key) for key in change.recipients])
        ever = "forever"
        sentences = {
            "material": "the version itself says that it is material",
            "controller": (
                f"controller: {self.party(change.before)} before, {self.party(change.after)} now"
            ),
            "joint_controller": (
                f"{self.party(change.about)} is "
                + ("responsible too" if change.after else "no longer responsible too")
            ),
            "new_category": "new category of data",
            "new_use": f"new use, by {parties}",
            "new_recipient": f"existing use, now also by {parties}",
            "dropped_use": f"no longer used, by {parties}",
            "dropped_recipient": f"no longer used by {parties}, but still by others",
            "longer_retention": f"kept longer: {change.after or ever}, before {change.before}",
            "shorter_retention": f"kept shorter: {change.after}, before {change.before or ever}",
            "legal_basis": (
                f"legal basis: {change.before or 'none given'} before, "
                f"{change.after or 'none given'} now"
            ),
            "property": f"property {change.about}: {_difference(change)}",
            "party": (
                f"party {change.about}: {change.before} before, {change.after} now (the same"
                " company; another one needs another key)"
            ),
            "text": f"text in {change.about}: {_difference(change)}",
        }
        return sentences[change.kind]


def _difference(change: Change) -> str:
    if change.before is None:
        return "new"
    return "removed" if change.after is None else "changed"


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
