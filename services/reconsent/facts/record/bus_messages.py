"""Erasing what the bus, and events ahead of their time, say of deleted accounts. RULES 28.

Kafka's topics keep what their retention says; what is erased is in the embedded bus and in the dead
letters, which lie in the database whichever bus it is.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from reconsent.domain.account import AccountName
from reconsent.domain.cloudevents import read
from reconsent.domain.errors import BadInputError
from reconsent.facts.record.clocks import remember_early
from reconsent.store import log_erasure
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from reconsent.domain.bus import Message
    from reconsent.domain.event import AccountEvent, ChoiceEvent, CollectionEvent, Event
    from reconsent.store.postgres import Connection

    OfAccount = AccountEvent | CollectionEvent | ChoiceEvent

SQL = named("record/bus_messages")


def erase_messages(
    connection: Connection,
    until: Mapping[AccountName, datetime],
    keyed_hash: Callable[[str], bytes],
    repeated: Collection[Event] = (),
) -> None:
    """Erase accounts' messages up to their deletions from the embedded bus.

    Also called when a message arrives after a deletion but counts from before it, as those that are
    `repeated` do.
    """
    if until:
        deletions = {_message_key(name): at for name, at in until.items()}
        erased = log_erasure.erase(connection, deletions, keyed_hash, repeated)
        remember_erased(connection, erased, keyed_hash)


def erase_late(
    connection: Connection,
    events: Iterable[tuple[OfAccount, datetime]],
    keyed_hash: Callable[[str], bytes],
) -> None:
    """Erase events from the bus that came after a deletion but count from a time up to it.

    Each comes with the time from which it counts, and is as the bus has it.
    """
    by_account: dict[AccountName, list[tuple[OfAccount, datetime]]] = {}
    for event, at in events:
        by_account.setdefault(AccountName(event.property, event.account), []).append((event, at))
    if not by_account:
        return
    rows = connection.execute(SQL["deleted"], _columns(by_account)).fetchall()
    deletions = {AccountName(*name): deleted_at for *name, deleted_at in rows}
    late = [
        (name, event)
        for name, deleted_at in deletions.items()
        for event, at in by_account[name]
        if at <= deleted_at
    ]
    until = {name: deletions[name] for name, _ in late}
    erase_messages(connection, until, keyed_hash, [event for _, event in late])
    forget_sources(connection, until)


def erase_reports(
    connection: Connection, notices: Sequence[str], keyed_hash: Callable[[str], bytes]
) -> None:
    """Erase providers' texts about some notices from the embedded bus.

    Also called when a report arrives after a deletion, or is about a notice that is not known.
    """
    if notices:
        named_notices = [notice.encode() for notice in notices]
        log_erasure.erase_reports(connection, named_notices, keyed_hash)


def hide_messages(
    connection: Connection,
    minors: Mapping[AccountName, datetime],
    keyed_hash: Callable[[str], bytes],
) -> None:
    """Take names and addresses out of what the bus says of minors up to some times."""
    by_key = {_message_key(name): at for name, at in minors.items()}
    remember_erased(connection, log_erasure.hide(connection, by_key, keyed_hash), keyed_hash)


def remember_erased(
    connection: Connection, changed: Sequence[Message], keyed_hash: Callable[[str], bytes]
) -> None:
    """Remember what erased messages said ahead of its time, also where nobody had read them.

    The same said again must not count from later: as if it had been said after the deletion.
    """
    received = []
    for message in changed:
        with suppress(BadInputError):
            received.append(read(message))
    remember_early(connection, received, keyed_hash)


def forget_sources(connection: Connection, names: Iterable[AccountName]) -> None:
    """Erase the sources of what accounts were said to be or do ahead of its time."""
    connection.execute(SQL["forget_sources"], _columns(names))


def _columns(names: Iterable[AccountName]) -> dict[str, list[str]]:
    listed = list(names)
    return {
        "properties": [name.property for name in listed],
        "accounts": [name.account for name in listed],
    }


def _message_key(name: AccountName) -> bytes:
    return f"{name.property}/{name.account}".encode()
