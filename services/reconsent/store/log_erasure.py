"""Erasing what is personal in messages of the log, whatever their keys are. RULES 28."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconsent.domain.bus import DEAD, Message
from reconsent.domain.cloudevents import read
from reconsent.domain.erased_events import without_address, without_person, without_reason
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import AccountEvent, ChoiceEvent, CollectionEvent
from reconsent.domain.message_names import names_of
from reconsent.store.log import from_row, headers_json
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from reconsent.domain.event import Event
    from reconsent.store.postgres import Connection

SQL = named("log_erasure")
OF_ACCOUNTS: Final = tuple(
    topic + suffix for topic in ("accounts", "collections", "choices") for suffix in ("", DEAD)
)
OF_NOTICES: Final = ("mail-events", "mail-events" + DEAD)
_AT_ONCE: Final = 5_000


def erase(
    connection: Connection,
    deletions: Mapping[bytes, datetime],
    keyed_hash: Callable[[str], bytes],
    repeated: Collection[Event] = (),
) -> list[Message]:
    """Erase what the bus knows of deleted accounts, given by key with the time of deletion.

    Of accounts and collections what counts up to a deletion is removed, choices lose evidence,
    source and id, and unreadable messages are removed; the same goes for dead letters. What is
    `repeated` counts up to the deletion, whenever it came in. Tombstones stay. The facts need none
    of it, consumed or not. Returns the messages as they were.
    """

    def remaining(kept: Message, named: AbstractSet[bytes]) -> Message | None:
        return after_deletion(kept, max(deletions[name] for name in named), keyed_hash, repeated)

    return _rewrite(connection, OF_ACCOUNTS, deletions, remaining, keyed_hash)


def hide(
    connection: Connection, minors: Mapping[bytes, datetime], keyed_hash: Callable[[str], bytes]
) -> list[Message]:
    """Take names and addresses out of what the bus says of minors up to some times, by key.

    Unreadable messages are removed; everything else in a message, consumed or not, stays. Returns
    the messages as they were.
    """

    def remaining(kept: Message, named: AbstractSet[bytes]) -> Message | None:
        return of_minor(kept, max(minors[name] for name in named))

    return _rewrite(connection, OF_ACCOUNTS, minors, remaining, keyed_hash)


def erase_reports(
    connection: Connection, notices: Iterable[bytes], keyed_hash: Callable[[str], bytes]
) -> None:
    """Take out of the reports about some notices, given by key, what providers wrote.

    What nobody can read is removed; all else, read or yet to be read, says what it said.
    """

    def remaining(kept: Message, _: AbstractSet[bytes]) -> Message | None:
        return impersonal_report(kept, keyed_hash)

    _rewrite(connection, OF_NOTICES, notices, remaining, keyed_hash)


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

    def remaining(kept: Message, _: AbstractSet[bytes]) -> Message | None:
        if not unreadable and not is_readable(kept):
            return kept
        if kept.topic in OF_NOTICES:
            return impersonal_report(kept, keyed_hash)
        # Keys of accounts have a slash; those of dead letters may be anything.
        return kept if b"/" in (kept.key or b"") or is_readable(kept) else None

    _rewrite(connection, OF_ACCOUNTS + OF_NOTICES, mailboxes, remaining, keyed_hash)


def _rewrite(
    connection: Connection,
    topics: Sequence[str],
    names: Iterable[bytes],
    remaining: Callable[[Message, AbstractSet[bytes]], Message | None],
    keyed_hash: Callable[[str], bytes],
) -> list[Message]:
    """Rewrite the messages that have some names, by key or otherwise, as what remains of them.

    Returns those that this changes, as they were.
    """
    note_names(connection, keyed_hash)
    wanted = set(names)
    of_names = {"names": list(wanted), "topics": list(topics)}
    found = connection.execute(SQL["of_names"], of_names).fetchall()
    kept = [(from_row(tuple(row)), frozenset(noted or ())) for *row, noted in found]
    left = [(one, remaining(one, wanted & {one.key, *names})) for one, names in kept]
    rewrite(connection, left)
    return [before for before, after in left if after != before]


def rewrite(connection: Connection, messages: Iterable[tuple[Message, Message | None]]) -> None:
    """Replace messages by what remains of them; remove those of which nothing does."""
    gone: list[Message] = []
    for message, remaining in messages:
        if remaining is None:
            gone.append(message)
        elif remaining != message:
            written = remaining._asdict() | {"headers": headers_json(remaining)}
            connection.execute(SQL["rewrite"], written)
    if gone:
        connection.execute(SQL["remove"], _places(gone))


def note_names(connection: Connection, keyed_hash: Callable[[str], bytes]) -> None:
    """Keep what messages name of which nobody has looked."""
    while rows := connection.execute(SQL["to_name"], {"limit": _AT_ONCE}).fetchall():
        messages = list(map(from_row, rows))
        keep_names(
            connection,
            [(message, names_of(message.value or b"", keyed_hash)) for message in messages],
        )


def keep_names(
    connection: Connection, messages: Sequence[tuple[Message, AbstractSet[bytes]]]
) -> None:
    """Keep what some messages name."""
    named = [(message, name) for message, names in messages for name in (None, *names)]
    if named:
        places = _places([message for message, _ in named])
        connection.execute(SQL["note_names"], places | {"names": [name for _, name in named]})


def _places(messages: Sequence[Message]) -> dict[str, list[Any]]:
    return {
        "topics": [message.topic for message in messages],
        "partitions": [message.partition for message in messages],
        "offsets": [message.offset for message in messages],
    }


def after_deletion(
    message: Message,
    deleted_at: datetime,
    keyed_hash: Callable[[str], bytes],
    repeated: Collection[Event] = (),
) -> Message | None:
    """Return what remains of a message after the deletion of an account that it names."""
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


def of_minor(message: Message, minor_at: datetime) -> Message | None:
    """Return what remains of a message about somebody who was a minor at a time."""
    try:
        received = read(message)
    except BadInputError:
        return None
    data = received.data
    if isinstance(data, AccountEvent) and received.counts_by(minor_at):
        has_any = data.given_email is not None or data.name is not None
        return without_address(message) if has_any else message
    return message


def impersonal_report(message: Message, keyed_hash: Callable[[str], bytes]) -> Message | None:
    """Return what remains of a report without anything personal; None if nobody can read it."""
    try:
        return without_reason(message, keyed_hash)
    except BadInputError:
        return None


def is_readable(message: Message) -> bool:
    """Tell whether a message is an event that can be recorded."""
    try:
        read(message)
    except BadInputError:
        return False
    return True
