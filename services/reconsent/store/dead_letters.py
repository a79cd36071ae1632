"""The dead letters that wait in PostgreSQL, whichever bus they came by.

`log.append_dead_letter` puts them there. What a deletion erases of an account is erased from them
too. Removed ones leave gaps between the offsets, which consumers step over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconsent.domain.bus import DEAD, dead_letter
from reconsent.domain.dead_letters import DeadLetter, Id
from reconsent.domain.event import TOPICS
from reconsent.store.log import from_row, headers_json
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconsent.store.postgres import Connection

SQL = named("dead_letters")


def waiting(
    connection: Connection, topics: Iterable[str] = TOPICS, key: bytes | None = None
) -> list[DeadLetter]:
    """List the dead letters of some topics, of one key if it is given, without their values."""
    wanted = {"topics": [topic + DEAD for topic in topics], "key": key}
    return [DeadLetter.of(from_row(row)) for row in connection.execute(SQL["waiting"], wanted)]


def count(connection: Connection) -> dict[str, int]:
    """Count the dead letters that wait, by topic."""
    rows = connection.execute(SQL["count"], {"topics": [topic + DEAD for topic in TOPICS]})
    found: dict[str, int] = dict(rows.fetchall())
    return {topic: found.get(topic + DEAD, 0) for topic in TOPICS}


def lock(connection: Connection, ids: Iterable[Id]) -> None:
    """Lock some dead letters until the transaction ends."""
    connection.execute(SQL["lock"], _places(ids))


def read(connection: Connection, ids: Iterable[Id]) -> dict[Id, DeadLetter]:
    """Read some dead letters with their values; those that are gone are left out."""
    rows = connection.execute(SQL["read"], _places(ids))
    return {letter.id: letter for letter in map(DeadLetter.of, map(from_row, rows))}


def remove(connection: Connection, ids: Iterable[Id]) -> set[Id]:
    """Remove some dead letters; return those that were still there."""
    rows = connection.execute(SQL["remove"], _places(ids))
    return {Id(topic.removesuffix(DEAD), partition, offset) for topic, partition, offset in rows}


def renew(connection: Connection, reasons: Mapping[Id, Exception]) -> set[Id]:
    """Replace the reasons of some dead letters; return those that were still there."""
    found = read(connection, reasons)
    for id_, letter in found.items():
        anew = dead_letter(letter.message, letter.group, reasons[id_])
        place = {"topic": anew.topic, "partition": id_.partition, "offset": id_.offset}
        connection.execute(SQL["renew"], place | {"headers": headers_json(anew)})
    return set(found)


def _places(ids: Iterable[Id]) -> dict[str, list[Any]]:
    places = list(ids)
    return {
        "topics": [place.topic + DEAD for place in places],
        "partitions": [place.partition for place in places],
        "offsets": [place.offset for place in places],
    }
