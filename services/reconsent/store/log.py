"""The log: messages of the embedded bus, and dead letters of any bus, as rows of PostgreSQL.

Appending to a partition locks its row, so offsets become visible in their order. What a deletion
erases of an account is erased here as well.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from reconsent.domain.bus import DEAD, Message, came_in_when_dated, dead_letter
from reconsent.domain.cloudevents import read
from reconsent.domain.erased_events import without_address, without_person, without_reason
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import (
    TOPICS,
    AccountEvent,
    ChoiceEvent,
    CollectionEvent,
)
from reconsent.domain.message_names import names_of
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from reconsent.domain.event import Event
    from reconsent.store.postgres import Connection

SQL = named("log")
PARTITIONS: Final = 4
_AT_ONCE: Final = 5_000
Partition = tuple[str, int]

_COLUMNS: Final = ("text", "int4", "int8", "bytea", "bytea", "text", "timestamptz")
_OF_ACCOUNTS: Final = tuple(
    topic + suffix for topic in ("accounts", "collections", "choices") for suffix in ("", DEAD)
)
_OF_NOTICES: Final = ("mail-events", "mail-events" + DEAD)


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


def erase(
    connection: Connection,
    deletions: Mapping[bytes, datetime],
    keyed_hash: Callable[[str], bytes],
    repeated: Collection[Event] = (),
) -> None:
    """Erase what the bus knows of deleted accounts, given by key with the time of deletion.

    Of accounts and collections what counts up to a deletion is removed, choices lose evidence,
    source and id, and unreadable messages are removed; the same goes for dead letters. What is
    `repeated` counts up to the deletion, whenever it came in. Tombstones stay. The facts need none
    of it, consumed or not.
    """

    def left(kept: Message, named: AbstractSet[bytes]) -> Message | None:
        return _left(kept, max(deletions[name] for name in named), keyed_hash, repeated)

    _rewrite(connection, _OF_ACCOUNTS, deletions, left, keyed_hash)


def hide(
    connection: Connection, minors: Mapping[bytes, datetime], keyed_hash: Callable[[str], bytes]
) -> None:
    """Take names and addresses out of what the bus says of minors up to some times, by key.

    Unreadable messages are removed; everything else in a message, consumed or not, stays.
    """

    def left(kept: Message, named: AbstractSet[bytes]) -> Message | None:
        return _left_of_minor(kept, max(minors[name] for name in named))

    _rewrite(connection, _OF_ACCOUNTS, minors, left, keyed_hash)


def erase_reports(
    connection: Connection, notices: Iterable[bytes], keyed_hash: Callable[[str], bytes]
) -> None:
    """Take out of the reports about some notices, given by key, what providers wrote.

    What nobody can read is removed; all else, read or yet to be read, says what it said.
    """

    def left(kept: Message, _: AbstractSet[bytes]) -> Message | None:
        return _left_of_report(kept, keyed_hash)

    _rewrite(connection, _OF_NOTICES, notices, left, keyed_hash)


def erase_addresses(
    connection: Connection,
    mailboxes: Collection[bytes],
    keyed_hash: Callable[[str], bytes],
    *,
    unreadable: bool,
) -> None:
    """Take some addresses out of reports, read or yet to be read.

    The keyed hash takes the place of an address that a report is about. `unreadable`: what nobody
    can read is removed, unless its key says that it is about an account.
    """

    def left(kept: Message, _: AbstractSet[bytes]) -> Message | None:
        if not unreadable and not _is_readable(kept):
            return kept
        if kept.topic in _OF_NOTICES:
            return _left_of_report(kept, keyed_hash)
        # Keys of accounts have a slash; those of dead letters may be anything.
        return kept if b"/" in (kept.key or b"") or _is_readable(kept) else None

    _rewrite(connection, _OF_ACCOUNTS + _OF_NOTICES, mailboxes, left, keyed_hash)


def _rewrite(
    connection: Connection,
    topics: Sequence[str],
    names: Iterable[bytes],
    left_of: Callable[[Message, AbstractSet[bytes]], Message | None],
    keyed_hash: Callable[[str], bytes],
) -> None:
    """Rewrite the messages that have some names, by key or otherwise; `left_of` gets these."""
    note_names(connection, keyed_hash)
    wanted = set(names)
    of_names = {"names": list(wanted), "topics": list(topics)}
    gone: list[Message] = []
    for *row, names_kept in connection.execute(SQL["of_names"], of_names).fetchall():
        message = from_row(tuple(row))
        left = left_of(message, wanted & {message.key, *(names_kept or ())})
        if left is None:
            gone.append(message)
        elif left != message:
            connection.execute(SQL["rewrite"], left._asdict() | {"headers": headers_json(left)})
    if gone:
        _remove(connection, gone)


def note_names(connection: Connection, keyed_hash: Callable[[str], bytes]) -> set[bytes]:
    """Keep what messages name of which nobody has looked; return the names."""
    names: set[bytes] = set()
    while rows := connection.execute(SQL["to_name"], {"limit": _AT_ONCE}).fetchall():
        noted = [
            (message, name)
            for message in map(from_row, rows)
            for name in (None, *names_of(message.value or b"", keyed_hash))
        ]
        places = _places([message for message, _ in noted])
        connection.execute(SQL["note_names"], places | {"names": [name for _, name in noted]})
        names.update(name for _, name in noted if name)
    return names


def _remove(connection: Connection, messages: Sequence[Message]) -> None:
    connection.execute(SQL["remove"], _places(messages))


def _places(messages: Sequence[Message]) -> dict[str, list[Any]]:
    return {
        "topics": [message.topic for message in messages],
        "partitions": [message.partition for message in messages],
        "offsets": [message.offset for message in messages],
    }


def _left(
    message: Message,
    deleted_at: datetime,
    keyed_hash: Callable[[str], bytes],
    repeated: Collection[Event],
) -> Message | None:
    """Return what stays of a message after a deletion."""
    try:
        received = read(message)
    except BadInputError:
        return None
    if not received.counts_by(deleted_at) and received.data not in repeated:
        return message
    match received.data:
        case AccountEvent() | CollectionEvent():
            return None
        case ChoiceEvent():
            return without_person(message, keyed_hash)
    return message


def _left_of_minor(message: Message, minor_at: datetime) -> Message | None:
    """Return what stays of a message about a minor."""
    try:
        received = read(message)
    except BadInputError:
        return None
    data = received.data
    if isinstance(data, AccountEvent) and received.counts_by(minor_at):
        has_any = data.given_email is not None or data.name is not None
        return without_address(message) if has_any else message
    return message


def _left_of_report(message: Message, keyed_hash: Callable[[str], bytes]) -> Message | None:
    """Return what stays of a report about a mail or a mailbox."""
    try:
        return without_reason(message, keyed_hash)
    except BadInputError:
        return None


def _is_readable(message: Message) -> bool:
    try:
        read(message)
    except BadInputError:
        return False
    return True


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
