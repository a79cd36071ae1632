"""Warnings of names in events that nothing here has: they are recorded, but it may be a typo."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from reconsent import terminal
from reconsent.domain.policy import Policy
from reconsent.domain.policy_warnings import Place
from reconsent.domain.spelling import did_you_mean
from reconsent.domain.unknown_names import CHECKED, CHECKS, KnownNames
from reconsent.facts.unknown_names import add_unknown, names_of, still_unknown, unknown_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.policy import PolicyVersion
    from reconsent.domain.unknown_names import UnknownName
    from reconsent.facts.read.checks import CheckFields
    from reconsent.facts.versions import Policies
    from reconsent.files.staging import StagedFile
    from reconsent.program import Program
    from reconsent.store.postgres import Connection

_MOST: Final = 10
_PLACES: Final[dict[str, Place]] = {
    "property": ("properties",),
    "collected_under": ("version",),
    "data_category": ("declares",),
    "data_use": ("declares",),
    "recipient": ("declares",),
}
"""Where a policy file would have what is unknown."""


Unknown = tuple["UnknownName", int, str]
"""A name, the events that have it, and both in words."""


def known_names(program: Program, connection: Connection) -> KnownNames:
    """Return the names that what is published now has."""
    return names_of(program.versions.now(connection), _exists)


def _exists(field: str, name: str) -> bool:
    from reconsent.words.translation import exists  # noqa: PLC0415 -- loads the translations

    return exists(field, name)


def warn_of_unknown_names(program: Program, file: StagedFile, *, count: bool) -> None:
    """Warn of the unknown names in a file that was imported, and count them if they are new."""

    def work(connection: Connection) -> list[str]:
        known = known_names(program, connection)
        counts = unknown_in(known, file.topic, ((n, seen.events) for n, seen in file.names.items()))
        if count:
            add_unknown(connection, counts)
        lines: dict[UnknownName, int] = {}
        for names, seen in file.names.items():
            for unknown in known.unknown(file.topic, names):
                lines[unknown] = min(seen.line, lines.get(unknown, seen.line))
        return [
            f"{file.name}:{lines[unknown]}: {known.in_words(unknown, events)}"
            for unknown, events in counts.most_common()
        ]

    _warn(file.name, program.database.transaction(work))


def warn_of_unknown_checks(program: Program, source: str, checks: Sequence[CheckFields]) -> None:
    """Warn of the unknown names in permission checks: they are denied, but perhaps misspelt."""
    counted = Counter(tuple(check.get(field) for field in CHECKED) for check in checks)
    known = program.database.transaction(lambda connection: known_names(program, connection))
    counts = unknown_in(known, CHECKS, counted.items())
    _warn(source, [f"{source}: {known.in_words(*one)}" for one in counts.most_common()])


def _warn(source: str, warnings: Sequence[str]) -> None:
    for line in warnings[:_MOST]:
        terminal.complain(f"{line} (warning)")
    if len(warnings) > _MOST:
        terminal.complain(f"{source}: {len(warnings) - _MOST:,} more names are unknown (warning)")


def unknown_now(program: Program, connection: Connection) -> list[Unknown]:
    """List the names that came in and are unknown today, with their events and in words."""
    known = known_names(program, connection)
    return [
        (unknown, events, known.in_words(unknown, events))
        for unknown, events in still_unknown(connection, known)
    ]


def that_came_in(
    connection: Connection, policies: Policies, line: Policy | None, version: PolicyVersion
) -> list[tuple[Place, str]]:
    """List places in a policy file, and names that came in and that it does not know either."""
    whole = Policy(name=version.policy, versions=(*(line.versions if line else ()), version))
    known = KnownNames(
        {**policies.by_name, version.policy: whole},
        policies.owners | dict.fromkeys(version.properties, version.policy),
        _exists,
    )
    found: list[tuple[Place, str]] = []
    for unknown, events in still_unknown(connection, known):
        place = _PLACES.get(unknown.field)
        if place and _concerns(version, unknown.property, known):
            found.append((place, f"{known.in_words(unknown, events)}; they came in already"))
    return found


def _concerns(version: PolicyVersion, property_name: str, known: KnownNames) -> bool:
    """Tell whether a version lists a property, or the one that was probably meant."""
    policy = known.policy_of(property_name)
    if policy:
        return policy.name == version.policy
    meant = did_you_mean(property_name, known.properties)
    return bool(meant) and meant == did_you_mean(property_name, version.properties)
