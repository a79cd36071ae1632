"""Names in what was recorded that nothing here has, counted after each batch for `status`."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from reconsent.domain.unknown_names import FIELDS, tally
from reconsent.facts.unknown_names import add_unknown, names_of, unknown_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.received import Received
    from reconsent.domain.unknown_names import Names, UnknownName
    from reconsent.facts.versions import PublishedVersions
    from reconsent.store.postgres import Connection, Database

_REMEMBERED = 50_000


class NameCounts:
    """Counts unknown names. Remembers those that are known: they stay so."""

    def __init__(self, database: Database, versions: PublishedVersions) -> None:
        """Take the published versions, which say what is known."""
        self._database = database
        self._versions = versions
        self._known: set[tuple[str, Names]] = set()

    def count(self, received: Sequence[Received]) -> None:
        """Count the unknown names of events that were recorded."""
        unsure: dict[str, Counter[Names]] = {}
        for topic, events in groupby(received, key=lambda event: event.topic):
            if topic in FIELDS:
                counted, _ = tally(topic, [event.data for event in events])
                for names, number in counted.items():
                    if (topic, names) not in self._known:
                        unsure.setdefault(topic, Counter())[names] += number
        if unsure:
            self._database.transaction(lambda connection: self._look(connection, unsure))

    def _look(self, connection: Connection, unsure: dict[str, Counter[Names]]) -> None:
        from reconsent.words.translation import exists  # noqa: PLC0415 -- loads the translations

        known = names_of(self._versions.now(connection), exists)
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        found: Counter[UnknownName] = Counter()
        for topic, counted in unsure.items():
            for names, events in counted.items():
                unknown = unknown_in(known, topic, [(names, events)])
                found.update(unknown)
                if not unknown:
                    self._known.add((topic, names))
        add_unknown(connection, found)
