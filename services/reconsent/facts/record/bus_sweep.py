"""Erasing from messages what deletions by an earlier release left in them. RULES 28.

That one went by keys alone. It is done before anything else works, in transactions of some messages
each, so that no deletion has to do it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.account import AccountName
from reconsent.domain.cloudevents import read
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import MailEvent
from reconsent.domain.message_names import names_of
from reconsent.domain.notice_id import notice_id
from reconsent.facts.notice_ids import accounts_of, as_columns
from reconsent.facts.record.bus_messages import remember_erased
from reconsent.facts.record.mail_events import is_personal
from reconsent.facts.record.mailbox_reports import mailboxes_among, unknown_mailboxes
from reconsent.store.log import from_row
from reconsent.store.log_erasure import (
    OF_ACCOUNTS,
    OF_NOTICES,
    after_deletion,
    impersonal_report,
    is_readable,
    keep_names,
    of_minor,
    rewrite,
)
from reconsent.store.named import named
from reconsent.store.rows import all_rows, one_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime
    from uuid import UUID

    from reconsent.domain.bus import Message
    from reconsent.store.postgres import Connection, Database

SQL = named("record/bus_sweep")
_SLICE: Final = 2000


class _Place(NamedTuple):
    """A partition, and from where on it is still to be looked through."""

    topic: str
    partition: int
    next_offset: int


class _Named(NamedTuple):
    """A message and what it names; `to_note`: nobody has noted that yet, `more`: it is to be."""

    message: Message
    names: AbstractSet[bytes]
    more: bool
    to_note: bool


class _Notice(NamedTuple):
    notice_id: UUID
    forgotten: bool


class _Account(NamedTuple):
    property: str
    account: str
    deleted_at: datetime | None
    minor_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class _Forgotten:
    """What is known of the names in some messages.

    `notices` are of deleted accounts or of minors, `mailboxes` those that no account has or had.
    """

    notices: AbstractSet[bytes]
    not_ours: AbstractSet[bytes]
    mailboxes: AbstractSet[bytes]
    deleted: Mapping[bytes, datetime]
    minors: Mapping[bytes, datetime]


def sweep_bus(database: Database, keyed_hash: Callable[[str], bytes]) -> None:
    """Look through all messages of an earlier release. Safe to interrupt, and to repeat."""
    while database.transaction(lambda connection: _sweep_some(connection, keyed_hash)):
        pass


def _sweep_some(connection: Connection, keyed_hash: Callable[[str], bytes]) -> bool:
    """Look through some messages of one partition; False if none is left anywhere.

    Messages are locked first, accounts only read: a deletion that is being recorded finds these
    messages afterwards, with what they name.
    """
    place = one_row(connection, _Place, SQL["next"])
    if place is None:
        return False
    found = _read(connection, place, keyed_hash)
    forgotten = _forgotten(connection, {name for one in found for name in one.names})
    remaining = [(one, _remaining(one, forgotten, keyed_hash)) for one in found]
    rewrite(connection, [(one.message, left) for one, left in remaining])
    of_accounts = [
        one.message for one, left in remaining
        if one.message.topic in OF_ACCOUNTS and left != one.message
    ]  # fmt: skip
    remember_erased(connection, of_accounts, keyed_hash)
    keep_names(
        connection,
        [
            (left, names_of(left.value or b"", keyed_hash))
            for one, left in remaining
            if left is not None and one.more and (one.to_note or left != one.message)
        ],
    )
    if len(found) < _SLICE:
        connection.execute(SQL["end"], place._asdict())
    else:
        following = place._replace(next_offset=found[-1].message.offset + 1)
        connection.execute(SQL["go_on"], following._asdict())
    return True


def _read(
    connection: Connection, place: _Place, keyed_hash: Callable[[str], bytes]
) -> list[_Named]:
    wanted = place._asdict() | {"of_notices": list(OF_NOTICES), "limit": _SLICE}
    found = []
    for *row, noted, more in connection.execute(SQL["messages"], wanted).fetchall():
        message = from_row(tuple(row))
        inner = noted
        if noted is None:
            inner = names_of(message.value or b"", keyed_hash) if more else ()
        names = frozenset(inner) | ({message.key} if message.key else set())
        found.append(_Named(message, names, more=more, to_note=noted is None))
    return found


def _forgotten(connection: Connection, names: AbstractSet[bytes]) -> _Forgotten:
    accounts = _accounts(connection, names)
    ids = {name: id_ for name in names if (id_ := notice_id(name.decode(errors="replace")))}
    owners = accounts_of(connection, set(ids.values()))
    ours = all_rows(connection, _Notice, SQL["notices"], as_columns(owners)) if owners else []
    is_forgotten = {one.notice_id: one.forgotten for one in ours}
    return _Forgotten(
        notices={name for name, id_ in ids.items() if is_forgotten.get(id_)},
        not_ours={name for name, id_ in ids.items() if id_ not in is_forgotten},
        mailboxes=unknown_mailboxes(connection, mailboxes_among(names - ids.keys())),
        deleted={name: one.deleted_at for name, one in accounts.items() if one.deleted_at},
        minors={name: one.minor_at for name, one in accounts.items() if one.minor_at},
    )


def _accounts(connection: Connection, names: Iterable[bytes]) -> dict[bytes, _Account]:
    """Return the deleted accounts and those of minors among what messages name."""
    named_accounts = {
        AccountName(*name.decode().split("/", 1)): name for name in names if _may_name_account(name)
    }
    if not named_accounts:
        return {}
    columns = {
        "properties": [one.property for one in named_accounts],
        "accounts": [one.account for one in named_accounts],
    }
    found = all_rows(connection, _Account, SQL["accounts"], columns)
    return {named_accounts[AccountName(one.property, one.account)]: one for one in found}


def _may_name_account(name: bytes) -> bool:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return False
    # PostgreSQL has no NUL in texts.
    return "/" in text and "\0" not in text


def _remaining(
    one: _Named, forgotten: _Forgotten, keyed_hash: Callable[[str], bytes]
) -> Message | None:
    """Return what remains of a message once what is forgotten is erased from it."""
    message = one.message
    if message.topic in OF_NOTICES:
        return _remaining_report(one, forgotten, keyed_hash)
    if message.topic not in OF_ACCOUNTS:
        return message
    deleted = [forgotten.deleted[name] for name in one.names & forgotten.deleted.keys()]
    minors = [forgotten.minors[name] for name in one.names & forgotten.minors.keys()]
    until = max(deleted + minors, default=None)
    if until and not is_readable(message):
        # What came in after it may be about an account that came back, and may be retried.
        return None if message.timestamp <= until else message
    remaining: Message | None = message
    if deleted:
        remaining = after_deletion(message, max(deleted), keyed_hash)
    if minors and remaining:
        remaining = of_minor(remaining, max(minors))
    return remaining


def _remaining_report(
    one: _Named, forgotten: _Forgotten, keyed_hash: Callable[[str], bytes]
) -> Message | None:
    message = one.message
    try:
        said = read(message).data
    except BadInputError:
        return None if one.names & forgotten.notices else message
    if one.names & (forgotten.notices | forgotten.mailboxes) or (
        one.names & forgotten.not_ours and isinstance(said, MailEvent) and is_personal(said)
    ):
        return impersonal_report(message, keyed_hash)
    return message
