"""Names in events that nothing here has, counted for those who look after the data."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.unknown_names import KnownNames, UnknownName
from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconsent.domain.unknown_names import Names
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("unknown_names")
_MOST: Final = 1_000
_AT_ONCE: Final = 100


class _Row(NamedTuple):
    topic: str
    property: str
    field: str
    name: str
    events: int


def names_of(policies: Policies, exists: Callable[[str, str], bool]) -> KnownNames:
    """Return the names that what is published has."""
    return KnownNames(policies.by_name, policies.owners, exists)


def add_unknown(connection: Connection, found: Mapping[UnknownName, int]) -> None:
    """Add to the counts of unknown names, those of the most events."""
    rows = sorted(Counter(found).most_common(_AT_ONCE))
    columns = {
        field: [getattr(unknown, field) for unknown, _ in rows] for field in UnknownName._fields
    }
    if rows:
        counts = {"events": [events for _, events in rows], "most": _MOST}
        connection.execute(SQL["add"], columns | counts)


def still_unknown(connection: Connection, known: KnownNames) -> list[tuple[UnknownName, int]]:
    """List the names that came in and are unknown today, with their events, most of them first."""
    rows = all_rows(connection, _Row, SQL["list"])
    return [
        (UnknownName(*row[:-1]), row.events)
        for row in rows
        if known.is_unknown(row.field, row.name, row.property)
    ]


def unknown_in(
    known: KnownNames, topic: str, counted: Iterable[tuple[Names, int]]
) -> Counter[UnknownName]:
    """Count a topic's events by the names in them that are unknown."""
    found: Counter[UnknownName] = Counter()
    for names, events in counted:
        for unknown in known.unknown(topic, names):
            found[unknown] += events
    return found
