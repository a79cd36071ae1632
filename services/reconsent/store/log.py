"""The log: messages of the embedded bus, and dead letters of any bus, as rows of PostgreSQL.

Appending to a partition locks its row, so offsets become visible in their order. log_erasure.py
erases what is personal in messages.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from reconsent.domain.bus import DEAD, Message, came_in_when_dated, dead_letter
from reconsent.domain.event import TOPICS
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconsent.store.postgres import Connection

SQL = named("log")
PARTITIONS: Final = 4
Partition = tuple[str, int]

_COLUMNS: Final = ("text", "int4", "int8", "bytea", "bytea", "text", "timestamptz")


def append(connection: Connection, messages: Sequence[Message]) -> None:
    """Append messages in the caller's transaction, which locks their partitions until it ends.

    A message without a partition goes where its key says.
    """
    placed = [(message.topic, _partition(message), message) for message in messages]
    counts = Counter((topic, partition) for topic, partition, _ in placed)
    offsets = _reserve(connection, counts)
    missing = {place: counts[place] for place in counts.keys() - offsets.keys()}
    if missing:
        topics = sorted({topic for topic, _ in missing})
        connection.execute(SQL["ensure_topics"], {"topics": topics, "partitions": PARTITIONS})
        offsets |= _reserve(connection, missing)
    with connection.cursor() as cursor, cursor.copy(SQL["copy"]) as copy:
        copy.set_types(_COLUMNS)
        for topic, partition, message in placed:
            offset = offsets[topic, partition]
            offsets[topic, partition] = offset + 1
            headers = headers_json(message)
            copy.write_row(
                (topic, partition, offset, message.key, message.value, headers, message.timestamp)
            )
    connection.execute(SQL["notify"])


def _partition(message: Message) -> int:
    if 0 <= message.partition < PARTITIONS:
        return message.partition
    return zlib.crc32(message.value or b"" if message.key is None else message.key) % PARTITIONS


def _reserve(connection: Connection, counts: Mapping[Partition, int]) -> dict[Partition, int]:
    wanted = {
        "topics": [topic for topic, _ in counts],
        "partitions": [partition for _, partition in counts],
        "messages": list(counts.values()),
    }
    return {
        (topic, partition): first
        for topic, partition, first in connection.execute(SQL["reserve"], wanted)
    }


def append_dead_letter(
    connection: Connection, message: Message, group: str, error: BaseException
) -> None:
    """Append a message to its topic's dead letters in the caller's transaction."""
    append(connection, [dead_letter(message, group, error)])


def lag(connection: Connection, group: str, topics: Iterable[str] = TOPICS) -> dict[str, int]:
    """Count the messages of each topic that a group has not consumed."""
    rows = connection.execute(SQL["lag"], {"group": group, "topics": list(topics)})
    return dict(rows.fetchall())


def from_row(row: tuple[Any, ...]) -> Message:
    """Return the message that a row of the log holds."""
    topic, key, value, headers, recorded, partition, offset = row
    pairs = tuple((name, text.encode("utf-8", "surrogateescape")) for name, text in headers)
    message = Message(topic, key, value, pairs, recorded, partition, offset)
    # The log is the bus of all but dead letters, which may have come from another.
    appended = came_in_when_dated(message) if topic.endswith(DEAD) else True
    return message._replace(appended=appended)


def headers_json(message: Message) -> str:
    """Write a message's headers as the log keeps them."""
    # Bytes that are not UTF-8 become lone surrogates, which JSON can carry and PostgreSQL keeps.
    return json.dumps(
        [(name, value.decode("utf-8", "surrogateescape")) for name, value in message.headers]
    )
