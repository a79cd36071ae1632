"""Checking a policy file before it is published: against its policy's line, and for its readers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconsent.domain.change import content_hash
from reconsent.domain.policy_line import mistakes
from reconsent.domain.policy_warnings import PhraseOf, TextFlaws, slips, warnings, word_flaws
from reconsent.files.policy import Mistake, PolicyFile, PolicyFileError, Reading
from reconsent.files.policy_mistakes import field_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconsent.domain.policy import Policy, PolicyVersion
    from reconsent.files.lined_yaml import Place


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Mistakes, which prevent publication, and warnings, which do not."""

    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def check(
    reading: Reading,
    line: Policy | None,
    owners: dict[str, str],
    phrase_of: PhraseOf,
    flaws: TextFlaws,
) -> Findings:
    """List all mistakes and warnings of a version that is to continue its policy's line.

    `line` is the published line of the policy that the version names; `owners` gives the policy of
    each known property; `flaws` finds what readers of a text would stumble over. An unchanged
    version that is already published has no mistakes.
    """
    version = reading.version
    if version is None:
        return Findings(mistakes=reading.mistakes, warnings=())
    slipped = [] if _is_published(version, line) else list(slips(version, flaws))
    refused = {place for place, _ in slipped}
    against = [*_against_line(version, line, owners), *slipped]
    return Findings(
        mistakes=_in_order(*reading.mistakes, *(reading.mistake(*one) for one in against)),
        warnings=(
            *_in_order(
                *(reading.mistake(*one) for one in warnings(version, line, phrase_of)),
                *(
                    reading.mistake(*one)
                    for one in word_flaws(version, flaws)
                    if one[0] not in refused
                ),
            ),
            *_of_bodies(reading, version, flaws),
        ),
    )


def _against_line(
    version: PolicyVersion, line: Policy | None, owners: dict[str, str]
) -> Iterator[tuple[Place, str]]:
    if line is None or version.version not in line.by_name:
        yield from mistakes(version, line, owners)
    elif not _is_published(version, line):
        message = (
            f"{version.version!r} is published already, with other content, and never changes: give"
            " this one a name of its own"
        )
        yield ("version",), message
    for locale in version.words:
        if locale not in version.texts:
            yield ("words", locale), "has no text in this language"


def _is_published(version: PolicyVersion, line: Policy | None) -> bool:
    """Tell whether the same version is published already."""
    published = line.by_name.get(version.version) if line else None
    return published is not None and content_hash(published) == content_hash(version)


def refuse_slips(file: PolicyFile, path: Path, line: Policy | None, flaws: TextFlaws) -> None:
    """Raise PolicyFileError for names that cannot be meant, unless the version is published."""
    version = file.version
    if _is_published(version, line):
        return
    found = [
        Mistake(file=str(path), line=file.lines(place), field=field_of(place), message=message)
        for place, message in slips(version, flaws)
    ]
    if found:
        raise PolicyFileError(_in_order(*found))


def _of_bodies(reading: Reading, version: PolicyVersion, flaws: TextFlaws) -> Iterator[Mistake]:
    for locale, text in version.texts.items():
        file, place = reading.bodies.get(locale), ("texts", locale, "body")
        for line, message in sorted(flaws.of_body(text.body, locale)):
            if file:
                yield Mistake(file=file, line=line, field="", message=message)
            else:
                yield reading.mistake(place, f"in line {line} of the text: {message}")


def _in_order(*found: Mistake) -> tuple[Mistake, ...]:
    return tuple(sorted(found, key=lambda mistake: mistake.line or 0))
