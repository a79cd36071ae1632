"""What was published last of each item, topic by topic."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.sql import SQL as COMPOSED
from psycopg.sql import Composed, Identifier
from psycopg.types.string import TextLoader

from reconsent.domain.bucket import bucket_of
from reconsent.store.named import named
from reconsent.store.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import LiteralString

    from reconsent.facts.published.state import Item
    from reconsent.store.postgres import Connection

SQL = named("published/record")
_ERASED: Final = "erased"
# What each topic published lies in a table of its own, by items of a type.
_TABLES: Final = {
    "notices": ("relayed_notices", "uuid"),
    "consents": ("relayed_consents", "text"),
    "permissions": ("relayed_permissions", "int8"),
    "unsubscribes": ("relayed_unsubscribes", "text"),
}


class Published(NamedTuple):
    """What was, or is about to be, published of an item of a bucket.

    `digest` is None of a tombstone. `era` is 0 before the first restore: the revisions of two eras
    may be the same.
    """

    bucket: int
    revision: int
    digest: int | None
    era: int

    def event_id(self, item: Item) -> str:
        """Return the same id when the same is published again after a crash, and only then."""
        content = _ERASED if self.digest is None else f"{self.digest % 2**64:016x}"
        revision = f"{self.era}-{self.revision}" if self.era else str(self.revision)
        # Accounts were numbered anew once: the same number was another account's before.
        name = f"a{item.id}" if isinstance(item.id, int) else item.id
        return f"{name}.{revision}.{content}"


class _Row(NamedTuple):
    """What was published last of an item, as it is stored."""

    item: Any
    revision: int
    digest: int | None
    era: int


def unpublished(
    connection: Connection, topic: str, items: Sequence[Item], era: int
) -> dict[Any, Published]:
    """Return what is to be published of the items that differ from what was published last.

    What was published before a restore may not be what is recorded, so it counts as different.
    """
    wanted = {
        "buckets": _joined(bucket_of(item.account_key) for item in items),
        "items": _joined(item.id for item in items),
    }
    cursor = connection.cursor(row_factory=rows_of(_Row))
    cursor.adapters.register_loader("uuid", TextLoader)
    last = {row.item: row for row in cursor.execute(_of(topic, SQL["read"]), wanted)}
    found = {}
    for item in items:
        digest = _digest(item.value)
        before = last.get(item.id)
        if before is None or (before.digest, before.era) != (digest, era):
            found[item.id] = Published(
                bucket_of(item.account_key), before.revision + 1 if before else 1, digest, era
            )
    return found


def intend(connection: Connection, topic: str, published: Mapping[Any, Published]) -> None:
    """Note what is about to be published; nothing, once all of it was."""
    connection.execute(SQL["forget_intents"], {"topic": topic})
    if published:
        buckets = _joined(one.bucket for one in published.values())
        columns = {"topic": topic, "items": _joined(published), "buckets": buckets}
        connection.execute(SQL["intend"], columns)


def record(connection: Connection, topic: str, published: Mapping[Any, Published]) -> None:
    """Record what was published."""
    if published:
        digests = (_ERASED if one.digest is None else one.digest for one in published.values())
        columns = {
            "buckets": _joined(one.bucket for one in published.values()),
            "items": _joined(published),
            "revisions": _joined(one.revision for one in published.values()),
            "digests": _joined(digests),
            "eras": _joined(one.era for one in published.values()),
        }
        connection.execute(_of(topic, SQL["record"]), columns)


def doubt(connection: Connection, topic: str) -> None:
    """Have all that was intended, and may or may not have been published, published again."""
    connection.execute(_of(topic, SQL["doubt"]), {"topic": topic})
    intend(connection, topic, {})


def _of(topic: str, query: LiteralString) -> Composed:
    table, item = _TABLES[topic]
    return COMPOSED(query).format(table=Identifier(table), type=Identifier(item))


def _joined(values: Iterable[Any]) -> str:
    """Write values as the queries take them: many times as fast as an array's own form."""
    return ",".join(map(str, values))


def _digest(value: bytes | None) -> int | None:
    """Tell values apart; None of a tombstone."""
    if value is None:
        return None
    return int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), signed=True)
