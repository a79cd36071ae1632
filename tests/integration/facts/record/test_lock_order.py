"""Mailboxes are locked before the accounts that are known, on every way. RULES 15.

Otherwise two that speak of one mailbox wait for each other, each with what the other wants.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, LiteralString

import pytest

from reconsent.domain.bucket import bucket_of_hash
from reconsent.domain.event import MailEvent, parse
from reconsent.domain.received import Received
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.record.marks import order_mark
from reconsent.store.postgres import Database
from tests.integration.facts.record.speaking import ANN, FULL, GONE, Asked
from tests.integration.informing import HOUR, SITE
from tests.integration.interleaving import Work, waiting
from tests.integration.stage import Stage

Way = Callable[[Asked], Work]
BO: Final = "bo@example.org"
_LOCK_ANN: Final = "SELECT FROM accounts WHERE account = 'ann' FOR UPDATE"
_LOCK: Final = "SELECT bucket FROM buckets WHERE bucket = %s FOR UPDATE SKIP LOCKED"


def _bounced(world: Asked) -> Work:
    return world.bounced(GONE)


def _full(world: Asked) -> Work:
    return world.bounced(FULL)


def _delivered(world: Asked) -> Work:
    return world.report("delivered", world.place.clock, notice=world.notice("ann"))


def _complained(world: Asked) -> Work:
    return world.report("complained", world.place.clock, notice=world.notice("ann"))


def _by_address(event: str) -> Way:
    return lambda world: world.report(event, world.place.clock, email=ANN)


def _mixed(world: Asked) -> Work:
    """Reports by notice and by address in one batch."""
    at, notice = world.place.clock, world.notice("ann")
    said = [
        MailEvent.model_validate({"event": event, "occurred_at": at} | about)
        for event, about in (("delivered", {"email": ANN}), ("bounced", {"notice": notice}))
    ]
    return lambda c: record_mail_events(c, said, world.place.signer.address_hash)


def _ordered(world: Asked) -> Work:
    """An operator marks it."""
    mailbox, at = world.place.signer.address_hash(ANN), world.place.clock
    return lambda c: order_mark(c, [mailbox], "bounced", said_by="ops", reason="gone", at=at)


def _lifted(how: str) -> Way:
    """Return what lifts a mark that is there."""

    def lifted(world: Asked) -> Work:
        world.place.database.transaction(world.bounced(GONE))
        return world.speaks_for(how)

    return lifted


def _named(account: str) -> Way:
    """Return what names it for an account that is known."""

    def named(world: Asked) -> Work:
        world.account("bo")
        world.place.clock += HOUR
        return world.recorded([_event(account, ANN, world.place.clock)])

    return named


WAYS: Final[dict[str, Way]] = {
    "bounced": _bounced,
    "full": _full,
    "delivered": _delivered,
    "complained": _complained,
    "bounced by address": _by_address("bounced"),
    "delivered by address": _by_address("delivered"),
    "unsubscribed by address": _by_address("unsubscribed"),
    "mixed": _mixed,
    "marked by an operator": _ordered,
    "lifted by an operator": _lifted("operator"),
    "lifted by a report": _lifted("delivered"),
    "named": _named("ann"),
    "named by another": _named("bo"),
    "verified": _lifted("verified"),
    "verified by another": _lifted("verified by another"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_mailbox_is_locked_before_its_accounts(place: Stage, way: Way) -> None:
    """While it waits for an account it has the mailbox, whatever is said of that."""
    world = Asked(place)
    work = way(world)
    other = threading.Thread(target=lambda: place.database.transaction(work))
    with place.database.connection() as connection:
        connection.execute("SELECT FROM accounts FOR UPDATE")
        other.start()
        _wait_for(place.database, 1, other)
        assert is_locked(place.database, place.signer.address_hash(ANN))
    other.join()


def test_a_mailbox_is_locked_first_where_its_account_changes_meanwhile(place: Stage) -> None:
    """An event that said what was known names a mailbox when the account has another by then."""
    world, address_hash = Asked(place), place.signer.address_hash
    assert bucket_of_hash(address_hash(ANN)) != bucket_of_hash(address_hash(BO))
    [[at]] = _rows(place.database, "SELECT updated_at FROM accounts WHERE account = 'ann'")
    same, added = _event("ann", ANN, at), _event("bo", BO, at)
    moved = _event("ann", "other@example.org", at + HOUR)
    with place.database.connection() as connection:
        threads = [
            threading.Thread(target=connection.execute, args=(_LOCK_ANN,)),
            threading.Thread(
                target=lambda: place.database.transaction(world.recorded([same, added]))
            ),
        ]
        with place.database.connection() as first:
            world.recorded([moved, added])(first)
            for number, thread in enumerate(threads, start=1):
                thread.start()
                _wait_for(place.database, number, thread)
        # Now ann is locked by another than the one that has changed her.
        threads[0].join()
        _wait_for(place.database, 1, threads[1])
        assert is_locked(place.database, address_hash(ANN))
    threads[1].join()


def _wait_for(database: Database, count: int, thread: threading.Thread) -> None:
    """Wait until some transactions wait for a lock, that of a thread among them."""
    while waiting(database) < count:
        assert thread.is_alive(), "it did not wait for an account"
        time.sleep(0.01)


def _event(account: str, email: str, at: datetime) -> Received:
    data = {
        "property": SITE, "account": account, "status": "active", "contact": "all",
        "email": email, "updated_at": at.isoformat(),
    }  # fmt: skip
    return Received("accounts", "/crm", "1", parse("accounts", json.dumps(data).encode()))


def _rows(database: Database, query: LiteralString) -> list[tuple[Any, ...]]:
    with database.connection() as connection:
        return connection.execute(query).fetchall()


def is_locked(database: Database, address_hash: bytes) -> bool:
    """Tell whether any transaction has locked a mailbox."""
    with database.connection() as connection:
        return not connection.execute(_LOCK, [bucket_of_hash(address_hash)]).fetchall()
