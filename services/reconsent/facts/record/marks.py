"""Marks on mailboxes: what forbids to send to one, and what lifts that. RULES 15.

Mailboxes are known by the keyed hashes of their addresses, so a mark outlives the accounts that
have it. Marks and lifts count by their times, in any order of arrival: a mark holds since the last
time at which it was made, unless it was lifted after that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, get_args

from reconsent.domain.mail_report import Mark
from reconsent.facts.record.asking_again import (
    ask_again_after_delivery,
    ask_again_after_lifting,
)
from reconsent.facts.record.locks import (
    lock_keys,
    lock_mailboxes_exclusive,
    lock_mailboxes_shared,
)
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from reconsent.store.postgres import Connection

SQL = named("record/marks")
MARKS: Final[tuple[Mark, ...]] = get_args(Mark)
DELIVERED: Final = "delivered"
VERIFIED: Final = "verified"
OPERATOR: Final = "operator"
_DELIVERED: Final = (
    SQL["delivered_by_notice"], SQL["delivered_to_deleted"], SQL["delivered_by_address"],
)  # fmt: skip
_VERIFIED: Final = (SQL["verified"], SQL["verified_before"])


class Marked(NamedTuple):
    """A mailbox is to be marked, because of something of that time."""

    address_hash: bytes
    mark: Mark
    at: datetime


class Lifted(NamedTuple):
    """A mark is to be lifted if it was made before that time."""

    address_hash: bytes
    mark: Mark
    at: datetime
    reason: str


class MailboxMark(NamedTuple):
    """A mark as it is kept; it holds if it was not lifted."""

    address_hash: bytes
    mark: Mark
    marked_at: datetime
    lifted_at: datetime | None
    lifted_for: str | None


class Order(NamedTuple):
    """What an operator said of a mailbox, and why."""

    address_hash: bytes
    mark: Mark
    lifts: bool
    at: datetime
    said_by: str
    reason: str


class Having(NamedTuple):
    """An account that has an address, or had it."""

    account_key: int
    address_hash: bytes


class _At(NamedTuple):
    address_hash: bytes
    at: datetime


# ------------------------------------------------------------------ marking and lifting


def mark(connection: Connection, marks: Iterable[Marked]) -> None:
    """Mark mailboxes, for every account; a later lift that is already known applies at once."""
    latest: dict[tuple[bytes, Mark], datetime] = {}
    for one in marks:
        known = latest.get(one[:2])
        latest[one[:2]] = max(one.at, known) if known else one.at
    if not latest:
        return
    lock_mailboxes_exclusive(connection, {address_hash for address_hash, _ in latest})
    known_lifts = _known_lifts(connection, {address_hash for address_hash, _ in latest})
    lifts, made = _latest(known_lifts), sorted(latest)
    columns = {
        "address_hash": [address_hash for address_hash, _ in made],
        "mark": [kind for _, kind in made],
        "marked_at": [latest[key] for key in made],
        "lifted_at": [lifts[key].at if key in lifts else None for key in made],
        "lifted_for": [lifts[key].reason if key in lifts else None for key in made],
    }
    connection.execute(SQL["mark"], columns)
    touch_having(connection, {address_hash for address_hash, _ in made})
    _ask_again(connection, known_lifts)


def lift(connection: Connection, lifts: Iterable[Lifted]) -> int:
    """Lift marks that were made before; return how many mailboxes that concerned."""
    lifts = list(lifts)
    latest = _latest(lifts)
    if not latest:
        return 0
    made = [latest[key] for key in sorted(latest)]
    lock_mailboxes_shared(connection, {one.address_hash for one in made})
    columns = {
        "address_hash": [one.address_hash for one in made],
        "mark": [one.mark for one in made],
        "at": [one.at for one in made],
        "reason": [one.reason for one in made],
    }
    lifted = set(values(connection, SQL["lift"], columns))
    if lifted:
        touch_having(connection, lifted)
    _ask_again(connection, lifts)
    return len(lifted)


def note_undelivered(connection: Connection, address_hashes: Collection[bytes]) -> None:
    """Look for what is known to let mail to mailboxes be repeated that has not reached them."""
    if address_hashes:
        lock_mailboxes_exclusive(connection, address_hashes)
        delivered = _latest(_delivered(connection, address_hashes))
        ask_again_after_delivery(connection, {key[0]: one.at for key, one in delivered.items()})
        _ask_again(connection, _lifts_by_people(connection, address_hashes))


def lift_by_what_is_known(connection: Connection, address_hashes: Collection[bytes]) -> None:
    """Lift the marks on mailboxes that something recorded lifts."""
    lock_mailboxes_shared(connection, address_hashes)
    # Also those that were lifted: what did not arrive since then is asked again.
    marks = marks_of(connection, address_hashes)
    if marks:
        made = {one[:2] for one in marks}
        lifts = _known_lifts(connection, {one.address_hash for one in marks})
        lift(connection, [one for one in lifts if one[:2] in made])


def _ask_again(connection: Connection, lifts: Iterable[Lifted]) -> None:
    """Ask again what did not arrive before persons, accounts or operators lifted marks."""
    by_people = _latest(one for one in lifts if one.reason != DELIVERED)
    ask_again_after_lifting(connection, {key: one.at for key, one in by_people.items()})


def touch_having(connection: Connection, address_hashes: Collection[bytes]) -> None:
    """Lock the accounts that have some addresses, and note them as changed."""
    keys = {one.account_key for one in having(connection, address_hashes)}
    # A claim skips locked accounts, so it sees the mark or does not take the notice.
    lock_keys(connection, keys)
    note_changed(connection, keys)


def having(connection: Connection, address_hashes: Collection[bytes]) -> list[Having]:
    """Return the accounts that have some addresses."""
    return all_rows(connection, Having, SQL["having"], {"address_hashes": sorted(address_hashes)})


def having_had(connection: Connection, address_hashes: Collection[bytes]) -> list[Having]:
    """Return the accounts that have some addresses, or had them."""
    return all_rows(
        connection, Having, SQL["having_had"], {"address_hashes": sorted(address_hashes)}
    )


def note_changed(connection: Connection, keys: Collection[int]) -> None:
    """Note locked accounts as changed."""
    connection.execute(SQL["note_changed"], {"keys": sorted(keys)})


def _known_lifts(connection: Connection, address_hashes: Collection[bytes]) -> list[Lifted]:
    """Return when something is known to have lifted marks on mailboxes."""
    return _delivered(connection, address_hashes) + _lifts_by_people(connection, address_hashes)


def _lifts_by_people(connection: Connection, address_hashes: Collection[bytes]) -> list[Lifted]:
    """Return when persons verified mailboxes, and operators lifted marks on them."""
    wanted = {"address_hashes": sorted(address_hashes)}
    # What a forgotten account had verified is known of its marks alone.
    found = [
        Lifted(one.address_hash, one.mark, one.lifted_at, one.lifted_for)
        for one in marks_of(connection, address_hashes)
        if one.lifted_at and one.lifted_for and one.lifted_for != DELIVERED
    ]
    found += [
        Lifted(row.address_hash, kind, row.at, VERIFIED)
        for query in _VERIFIED
        for row in all_rows(connection, _At, query, wanted)
        for kind in MARKS
    ]
    found += [
        Lifted(order.address_hash, order.mark, order.at, OPERATOR)
        for order in orders_of(connection, address_hashes)
        if order.lifts
    ]
    return found


def _delivered(connection: Connection, address_hashes: Collection[bytes]) -> list[Lifted]:
    """Return when mail was delivered to mailboxes."""
    wanted = {
        "address_hashes": sorted(address_hashes),
        "keys": [one.account_key for one in having_had(connection, address_hashes)],
    }
    return [
        Lifted(row.address_hash, "bounced", row.at, DELIVERED)
        for query in _DELIVERED
        for row in all_rows(connection, _At, query, wanted)
    ]


def _latest(lifts: Iterable[Lifted]) -> dict[tuple[bytes, Mark], Lifted]:
    return {one[:2]: one for one in sorted(lifts, key=lambda lifted: lifted.at)}


# ------------------------------------------------------------------ operators


def order_mark(
    connection: Connection,
    address_hashes: Collection[bytes],
    kind: Mark,
    *,
    said_by: str,
    reason: str,
    at: datetime,
) -> None:
    """Mark mailboxes because an operator says so; the reason is kept."""
    _keep(connection, [Order(one, kind, False, at, said_by, reason) for one in address_hashes])  # noqa: FBT003 -- a field
    mark(connection, [Marked(one, kind, at) for one in address_hashes])


def order_lift(
    connection: Connection,
    address_hashes: Collection[bytes],
    kinds: Sequence[Mark] = MARKS,
    *,
    said_by: str,
    reason: str,
    at: datetime,
) -> list[Mark]:
    """Lift marks because an operator says so; return those that held. The reason is kept.

    A mark that is made later, but by an earlier report, does not hold either.
    """
    # All at once: who waits for the next, and holds the first, may be waited for.
    lock_mailboxes_shared(connection, address_hashes)
    held = [
        one.mark
        for one in marks_of(connection, address_hashes)
        if one.lifted_at is None and one.marked_at < at and one.mark in kinds
    ]
    lifts = [Lifted(one, kind, at, OPERATOR) for one in address_hashes for kind in kinds]
    _keep(connection, [Order(*one[:2], True, at, said_by, reason) for one in lifts])  # noqa: FBT003 -- a field
    lift(connection, lifts)
    return held


def _keep(connection: Connection, orders: Sequence[Order]) -> None:
    columns = {name: [getattr(order, name) for order in orders] for name in Order._fields}
    connection.execute(SQL["order"], columns)


# ------------------------------------------------------------------ reading


def marks_of(connection: Connection, address_hashes: Iterable[bytes]) -> list[MailboxMark]:
    """Return the marks of mailboxes, also those that were lifted."""
    wanted = {"address_hashes": sorted(set(address_hashes))}
    return all_rows(connection, MailboxMark, SQL["marked"], wanted)


def orders_of(connection: Connection, address_hashes: Iterable[bytes]) -> list[Order]:
    """Return what operators said of mailboxes."""
    wanted = {"address_hashes": sorted(set(address_hashes))}
    return all_rows(connection, Order, SQL["orders"], wanted)


def marked_mailboxes(connection: Connection) -> dict[str, int]:
    """Count the mailboxes that nothing is sent to, by mark."""
    return dict(connection.execute(SQL["counts"]).fetchall())
