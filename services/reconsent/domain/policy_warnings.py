"""Warnings for the author of a policy version, and slips that prevent its publication."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from reconsent.domain.times import duration
from reconsent.domain.use import narrower

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconsent.domain.policy import Policy, PolicyVersion, Row

Place = tuple[str | int, ...]

PhraseOf = Callable[[str, str], "tuple[str, str] | None"]
"""Finds what reconsent itself says for a key in a locale: the key or a parent, and its phrase."""


class TextFlaws(Protocol):
    """Finds what readers of a policy's words would stumble over."""

    def of_body(self, text: str, locale: str) -> Iterable[tuple[int, str]]:
        """Return the flaws of a Markdown text, with their lines."""

    def of_words(self, text: str, locale: str | None, *, is_summary: bool = False) -> Iterable[str]:
        """Return the flaws of a title, summary, name or phrase."""

    def never_meant(self, text: str, *, lines: bool = False) -> Iterable[str]:
        """Return what no title, summary, name or phrase can mean to hold."""

    def foreign(self, locale: str) -> str | None:
        """Tell in which languages the program itself speaks, if not in that of a locale."""

    def canonical(self, locale: str) -> str:
        """Return a locale as it is compared: in one spelling."""

    def is_country(self, code: str) -> bool:
        """Tell whether a country has this code in ISO 3166."""


def slips(version: PolicyVersion, flaws: TextFlaws) -> Iterator[tuple[Place, str]]:
    """Yield places of names and words that cannot be meant as they are written.

    They prevent publication from a file. A version that comes as an event is recorded all the same:
    others have published it.
    """
    for place, text, _ in _words(version):
        for message in flaws.never_meant(text, lines=place[-1] == "summary"):
            yield place, message
    for key, party in version.parties.items():
        if party.country and not flaws.is_country(party.country):
            yield ("parties", key, "country"), f"{party.country} is not a country of ISO 3166"
    yield from _texts_of_one_locale(version, flaws)
    yield from _repeated(("joint_controllers",), version.joint_controllers)
    for index, row in enumerate(version.declares):
        place = ("declares", index, "recipients")
        yield from _repeated(place, row.recipients)
        if _is_by_the_controller(row, version) and not version.joint_controllers:
            position = row.recipients.index(version.controller)
            message = (
                f"{version.controller} is the controller, which `controller: false` leaves out"
            )
            yield (*place, position), message


def _texts_of_one_locale(version: PolicyVersion, flaws: TextFlaws) -> Iterator[tuple[Place, str]]:
    """Yield texts that nobody would read: an earlier one has the same locale, spelled otherwise."""
    first: dict[str, str] = {}
    for locale in version.texts:
        earlier = first.setdefault(flaws.canonical(locale), locale)
        if earlier != locale:
            yield ("texts", locale), f"is the same locale as {earlier}; only one text can be shown"


def _repeated(place: Place, names: Sequence[str]) -> Iterator[tuple[Place, str]]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield (*place, index), f"{name} is listed twice"


def _is_by_the_controller(row: Row, version: PolicyVersion) -> bool:
    """Tell whether a row that leaves the controller out lists it as a recipient."""
    return not row.controller and version.controller in row.recipients


def word_flaws(version: PolicyVersion, flaws: TextFlaws) -> Iterator[tuple[Place, str]]:
    """Yield places of titles, summaries, names and phrases, and what is wrong with these."""
    for locale in version.texts:
        if message := flaws.foreign(locale):
            yield ("texts", locale), message
    for place, text, language in _words(version):
        for message in flaws.of_words(text, language, is_summary=place[-1] == "summary"):
            yield place, message


def _words(version: PolicyVersion) -> list[tuple[Place, str, str | None]]:
    """List titles, summaries, names and phrases, with their places and languages."""
    words: list[tuple[Place, str, str | None]] = []
    for locale, text in version.texts.items():
        words.append((("texts", locale, "title"), text.title, locale))
        words.append((("texts", locale, "summary"), text.summary, locale))
    for key, party in version.parties.items():
        words.append((("parties", key, "name"), party.name, None))
    for locale, phrases in version.words.items():
        words += [(("words", locale, key), phrase, None) for key, phrase in phrases.items()]
    return words


def warnings(
    version: PolicyVersion, line: Policy | None, phrase_of: PhraseOf
) -> Iterator[tuple[Place, str]]:
    """Yield places in the policy file, and what readers or the author would miss there."""
    before = line.by_name.get(version.follows) if line and version.follows else None
    for locale in before.texts if before else ():
        if locale not in version.texts:
            yield ("texts",), f"there is no text in {locale!r}, which {version.follows!r} has"
    if before:
        yield from _other_parties(version, before)
    yield from _unnamed(version)
    if version.controller in version.joint_controllers:
        index = version.joint_controllers.index(version.controller)
        yield ("joint_controllers", index), f"{version.controller} is the controller already"
    yield from _left_out_and_listed(version)
    for place, key in _keys(version):
        yield from _without_phrase(version, place, key, phrase_of)
    yield from _never_sent(version)


def _without_phrase(
    version: PolicyVersion, place: Place, key: str, phrase_of: PhraseOf
) -> Iterator[tuple[Place, str]]:
    """Warn where people would read a key, or of something broader than it."""
    lacking: list[str] = []
    for locale in version.texts:
        own = [name for name in version.words.get(locale, {}) if narrower(name, key) == key]
        found = phrase_of(key, locale)
        if own and (found is None or len(max(own, key=len)) >= len(found[0])):
            continue
        if found is None:
            lacking.append(locale)
        elif found[0] != key:
            broader, phrase = found
            message = (
                f"{key} has no phrase of its own in {locale}: people would read {phrase!r}, that of"
                f" {broader}"
            )
            yield place, message
    if lacking:
        yield place, f"{key} has no phrase in {', '.join(lacking)}: people would read the key"


def _never_sent(version: PolicyVersion) -> Iterator[tuple[Place, str]]:
    reminders, within = version.notice.reminders, version.respond_within
    lengths = [duration(offset) for offset in reminders]
    for index, length in enumerate(lengths):
        place = ("notice", "reminders", index)
        if within is not None and length >= within:
            yield place, f"{reminders[index]} is not before respond_by: this reminder is never sent"
        elif length in lengths[:index]:
            first = reminders[lengths.index(length)]
            yield place, f"{reminders[index]} is as long as {first}: one reminder is sent, not two"


def _other_parties(version: PolicyVersion, before: PolicyVersion) -> Iterator[tuple[Place, str]]:
    """Warn of another controller, and of parties that may have become others under their keys."""
    if version.controller != before.controller:
        message = (
            f"was {before.controller} in {before.version!r}: from {version.effective_at:%Y-%m-%d}"
            f" on, what {before.controller} may do with data already held is no permission for"
            f" {version.controller}; people are asked. A company with only a new name keeps its key"
        )
        yield ("controller",), message
    for key, party in version.parties.items():
        known = before.parties.get(key)
        if known and known.name != party.name:
            message = (
                f"was {known.name!r} in {before.version!r}: right if the same company has a new"
                " name; another company needs another key, so that people are asked about it"
            )
            yield ("parties", key, "name"), message
        if known and party.moved_from(known):
            message = (
                f"was {known.country} in {before.version!r}: another country makes the version"
                " material, and is announced on the sites; nobody is asked because of it"
            )
            yield ("parties", key, "country"), message


def _left_out_and_listed(version: PolicyVersion) -> Iterator[tuple[Place, str]]:
    for index, row in enumerate(version.declares):
        if _is_by_the_controller(row, version) and version.joint_controllers:
            position = row.recipients.index(version.controller)
            message = (
                f"{version.controller} is the controller: it uses this data without its joint"
                " controllers"
            )
            yield ("declares", index, "recipients", position), message


def _unnamed(version: PolicyVersion) -> Iterator[tuple[Place, str]]:
    parties: list[tuple[Place, str]] = [(("controller",), version.controller)]
    parties += [
        (("joint_controllers", index), key) for index, key in enumerate(version.joint_controllers)
    ]
    for index, row in enumerate(version.declares):
        for position, recipient in enumerate(row.recipients):
            parties.append((("declares", index, "recipients", position), recipient))
    for place, party in _firsts(parties):
        if party not in version.parties:
            yield place, f"{party} is not named in parties: people would read the key"


def _keys(version: PolicyVersion) -> Iterable[tuple[Place, str]]:
    keys: list[tuple[Place, str]] = []
    for index, row in enumerate(version.declares):
        keys.append((("declares", index, "data"), row.data))
        for position, data_use in enumerate(row.uses):
            keys.append((("declares", index, "uses", position), data_use))
    return _firsts(keys)


def _firsts(placed: Iterable[tuple[Place, str]]) -> list[tuple[Place, str]]:
    """Return the first place of each key."""
    first: dict[str, Place] = {}
    for place, key in placed:
        first.setdefault(key, place)
    return [(place, key) for key, place in first.items()]
