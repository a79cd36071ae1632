"""What was said last of each thing that others are told of, topic by topic."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconsent.facts.published.state import Item
    from reconsent.store.postgres import Connection

SQL = named("published/record")
_ERASED: Final = "erased"


class Said(NamedTuple):
    """What was, or is about to be, said of an item."""

    revision: int
    digest: int | None

    def event_id(self, item: Item) -> str:
        """Return the same id when the same is said again after a crash, and only then."""
        content = _ERASED if self.digest is None else f"{self.digest % 2**64:016x}"
        return f"{item.id}.{self.revision}.{content}"


def news(connection: Connection, topic: str, items: Sequence[Item]) -> dict[Any, Said]:
    """Return what differs from what was said last."""
    wanted = {"items": _joined(item.id for item in items)}
    rows = connection.execute(SQL[f"relayed_{topic}"], wanted)
    last = {item: Said(revision, digest) for item, revision, digest in rows}
    found = {}
    for item in items:
        digest = _digest(item.value)
        before = last.get(item.id)
        if before is None or before.digest != digest:
            found[item.id] = Said(before.revision + 1 if before else 1, digest)
    return found


def intend(connection: Connection, topic: str, items: Iterable[Any]) -> None:
    """Note what is about to be said; nothing, once all of it was."""
    connection.execute(SQL["intend"], {"topic": topic, "items": _joined(items)})


def keep(connection: Connection, topic: str, said: Mapping[Any, Said]) -> None:
    """Note what was said."""
    if said:
        digests = (_ERASED if one.digest is None else one.digest for one in said.values())
        columns = {
            "items": _joined(said),
            "revisions": _joined(one.revision for one in said.values()),
            "digests": _joined(digests),
        }
        connection.execute(SQL[f"keep_{topic}"], columns)


def doubt(connection: Connection, topic: str) -> None:
    """Have all that was intended, and may or may not have been said, said again."""
    connection.execute(SQL[f"doubt_{topic}"])
    intend(connection, topic, [])


def _joined(values: Iterable[Any]) -> str:
    """Write values as the queries take them: many times as fast as an array's own form."""
    return ",".join(map(str, values))


def _digest(value: bytes | None) -> int | None:
    """Tell values apart; None of a tombstone."""
    if value is None:
        return None
    return int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), signed=True)
