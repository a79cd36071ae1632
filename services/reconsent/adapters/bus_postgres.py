"""The bus as a log table in PostgreSQL: the embedded form.

Whoever appends to a partition holds its row, so offsets become visible in their order. A consumer
holds a partition by an advisory lock of its own session: a dead process frees it at once, and
`offsets.take_over` fences off whoever is only late. NOTIFY merely wakes up.
"""

from __future__ import annotations

import json
import time
import zlib
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg

from reconsent.adapters.offsets import take_over
from reconsent.domain.bus import DEAD, Batch, Message, dead_letter
from reconsent.domain.cloudevents import read, without_address, without_evidence
from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.domain.event import TOPICS, AccountEvent, ChoiceEvent, CollectionEvent
from reconsent.queries import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from reconsent.adapters.postgres import Connection

SQL = named("bus")
PARTITIONS: Final = 4

_COLUMNS: Final = ("text", "int4", "int8", "bytea", "bytea", "text", "timestamptz")
_PERSONAL: Final = tuple(
    topic + suffix for topic in ("accounts", "collections", "choices") for suffix in ("", DEAD)
)
# Any number, so long as no one else uses it for advisory locks.
_MEMBERS: Final = 0x7265636F
_SHARE_SECONDS: Final = 1.0
# A process that is stopped holds its partitions no longer than this, in PostgreSQL's words.
_IDLE_LIMIT: Final = "2min"
_TAKE_OVER_LIMIT: Final = "1s"

Partition = tuple[str, int]


@contextmanager
def _outside() -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        text = str(error).strip() or type(error).__name__
        raise OutsideError(f"bus: {text.splitlines()[0]}") from error


def append(connection: Connection, messages: Sequence[Message]) -> None:
    """Append messages in the caller's transaction, which holds their partitions until it ends.

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


def bury(connection: Connection, message: Message, group: str, error: BaseException) -> None:
    """Append a message to its topic's dead letters in the caller's transaction."""
    append(connection, [dead_letter(message, group, error)])


def lag(connection: Connection, group: str, topics: Iterable[str] = TOPICS) -> dict[str, int]:
    """Count the messages of each topic that a group has not consumed."""
    rows = connection.execute(SQL["lag"], {"group": group, "topics": list(topics)})
    return dict(rows.fetchall())


def erase(connection: Connection, deletions: Mapping[bytes, datetime]) -> None:
    """Erase what the bus knows of deleted accounts, given by key with the time of deletion.

    Of accounts and collections what is dated up to a deletion is removed, choices lose their
    evidence, and what nobody can read is removed; so with their dead letters. Tombstones stay. The
    facts need none of it, consumed or not: it no longer tells anything.
    """
    _rewrite(connection, deletions, _left)


def hide(connection: Connection, minors: Mapping[bytes, datetime]) -> None:
    """Take names and addresses out of what the bus says of minors up to some times, by key.

    What nobody can read is removed; all else, read or yet to be read, says what it said.
    """
    _rewrite(connection, minors, _left_of_minor)


def _rewrite(
    connection: Connection,
    until: Mapping[bytes, datetime],
    left_of: Callable[[Message, datetime], Message | None],
) -> None:
    of_keys = {"keys": list(until), "topics": list(_PERSONAL)}
    gone: list[Message] = []
    for message in map(from_row, connection.execute(SQL["of_keys"], of_keys).fetchall()):
        left = left_of(message, until[message.key or b""])
        if left is None:
            gone.append(message)
        elif left != message:
            connection.execute(SQL["rewrite"], left._asdict() | {"headers": headers_json(left)})
    if gone:
        places = {
            "topics": [message.topic for message in gone],
            "partitions": [message.partition for message in gone],
            "offsets": [message.offset for message in gone],
        }
        connection.execute(SQL["remove"], places)


def _left(message: Message, deleted_at: datetime) -> Message | None:
    """Return what stays of a message after a deletion."""
    try:
        data = read(message).data
    except BadInputError:
        return None
    match data:
        case AccountEvent(updated_at=at) | CollectionEvent(collected_at=at) if at <= deleted_at:
            return None
        case ChoiceEvent(decided_at=at) if at <= deleted_at and data.evidence is not None:
            return without_evidence(message)
    return message


def _left_of_minor(message: Message, minor_at: datetime) -> Message | None:
    """Return what stays of a message about a minor."""
    try:
        data = read(message).data
    except BadInputError:
        return None
    if isinstance(data, AccountEvent) and data.updated_at <= minor_at:
        has_any = data.given_email is not None or data.name is not None
        return without_address(message) if has_any else message
    return message


def from_row(row: tuple[Any, ...]) -> Message:
    """Return the message that a row of the log holds."""
    topic, key, value, headers, recorded, partition, offset = row
    pairs = tuple((name, text.encode("utf-8", "surrogateescape")) for name, text in headers)
    return Message(topic, key, value, pairs, recorded, partition, offset)


def headers_json(message: Message) -> str:
    """Write a message's headers as the log keeps them."""
    # Bytes that are no UTF-8 become lone surrogates, which JSON can write and PostgreSQL keeps.
    return json.dumps(
        [(name, value.decode("utf-8", "surrogateescape")) for name, value in message.headers]
    )


class PostgresProducer:
    """Puts messages on the bus, each `send` in a transaction of its own."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None

    def send(self, messages: Sequence[Message]) -> None:
        """Put all of them on the bus, durable on return; equal keys keep their order."""
        if not messages:
            return
        with _outside():
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            with self._connection.transaction():
                append(self._connection, messages)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()


class PostgresConsumer:
    """Takes batches off the bus for a group, sharing the partitions with its other members.

    `connect` opens connections that commit by themselves. Each member holds at most its share of
    the partitions; it gives back what is more, so that a newcomer finds some.
    """

    def __init__(
        self, connect: Callable[[], Connection], group: str, topics: Iterable[str] = TOPICS
    ) -> None:
        self._group = group
        self._membership = {"space": _MEMBERS, "group": group}
        # By partition first, so that each member's share is mixed.
        self._all = [(topic, partition) for partition in range(PARTITIONS) for topic in topics]
        # Epoch and position of the partitions held, the one served least recently first.
        self._held: dict[Partition, tuple[int, int]] = {}
        self._shared_at: float | None = None
        self._connection = connect()
        with _outside():
            self._set("idle_session_timeout", _IDLE_LIMIT)
            self._set("lock_timeout", _TAKE_OVER_LIMIT)
            self._connection.execute("LISTEN bus")
            self._connection.execute(SQL["join"], self._membership)

    def poll(self, limit: int, timeout: float) -> Batch | None:
        """Return up to `limit` messages of one partition; None if none came in time (seconds)."""
        deadline = time.monotonic() + timeout
        with _outside():
            while True:
                self._share()
                batch = self._next(limit)
                left = deadline - time.monotonic()
                if batch or left <= 0:
                    return batch
                for _ in self._connection.notifies(timeout=min(left, _SHARE_SECONDS), stop_after=1):
                    pass

    def close(self) -> None:
        """Give the partitions back."""
        self._connection.close()

    def _set(self, setting: str, value: str) -> None:
        self._connection.execute("SELECT set_config(%s, %s, false)", (setting, value))

    def _lock_name(self, partition: Partition) -> dict[str, str]:
        return {"name": f"reconsent.bus {self._group} {partition[0]} {partition[1]}"}

    def _share(self) -> None:
        """Hold as many partitions as this member should, as far as they are free."""
        now = time.monotonic()
        if self._shared_at is not None and now - self._shared_at < _SHARE_SECONDS:
            return
        self._shared_at = now
        members = self._value("members", self._membership)
        share = -(-len(self._all) // max(members, 1))
        for partition in self._idle()[: max(0, len(self._held) - share)]:
            del self._held[partition]
            self._value("let_go", self._lock_name(partition))
        for partition in self._all:
            if len(self._held) < share and partition not in self._held:
                self._take(partition)

    def _take(self, partition: Partition) -> None:
        if not self._value("hold", self._lock_name(partition)):
            return
        try:
            self._held[partition] = take_over(self._connection, self._group, *partition)
        except psycopg.errors.LockNotAvailable:
            # A batch of the owner before is still being recorded: later.
            self._value("let_go", self._lock_name(partition))

    def _idle(self) -> list[Partition]:
        """List the partitions held of which no batch is at work."""
        found = self._connection.execute(SQL["idle"], {"group": self._group} | self._positions())
        return found.fetchall()

    def _positions(self) -> dict[str, list[Any]]:
        return {
            "topics": [topic for topic, _ in self._held],
            "partitions": [partition for _, partition in self._held],
            "offsets": [position for _, position in self._held.values()],
        }

    def _next(self, limit: int) -> Batch | None:
        """Return a batch of the partition served least recently, of those that have one."""
        ahead = {
            (topic, partition): end
            for topic, partition, end in self._connection.execute(SQL["ahead"], self._positions())
        }
        turn = next((partition for partition in self._held if partition in ahead), None)
        if turn is None:
            return None
        topic, partition = turn
        epoch, position = self._held.pop(turn)
        at = {"topic": topic, "partition": partition, "offset": position, "limit": limit}
        messages = [
            from_row(row) for row in self._connection.execute(SQL["fetch"], at, binary=True)
        ]
        after_last = messages[-1].offset + 1 if messages else 0
        # Fewer than the limit: between the last one and the end there is nothing any more.
        next_offset = after_last if len(messages) == limit else max(after_last, ahead[turn])
        self._held[turn] = (epoch, next_offset)
        return Batch(
            topic=topic,
            partition=partition,
            epoch=epoch,
            start_offset=position,
            next_offset=next_offset,
            messages=messages,
        )

    def _value(self, query: str, parameters: Mapping[str, Any]) -> Any:  # noqa: ANN401
        return self._connection.execute(SQL[query], parameters).fetchall()[0][0]
