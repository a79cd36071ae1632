"""Marks on mailboxes that providers' reports make and lift. RULES 15."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconsent.domain.mail_report import mark_of
from reconsent.facts.record.asking_again import ask_again_after_delivery
from reconsent.facts.record.locks import lock_mailboxes_exclusive, lock_mailboxes_shared
from reconsent.facts.record.marks import (
    DELIVERED,
    Lifted,
    Marked,
    lift,
    mark,
    note_undelivered,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from reconsent.store.postgres import Connection

_FAILED: Final = frozenset({"bounced", "dropped"})
_AGAINST: Final = _FAILED | {"complained"}


def mark_reported(
    connection: Connection, reported: Sequence[tuple[bytes, str, str | None, datetime]]
) -> None:
    """Mark mailboxes, and lift marks, as reports say: mailbox, event, reason, time.

    The mailboxes are locked (`lock_reported`).
    """
    mark(
        connection,
        [
            Marked(mailbox, kind, at)
            for mailbox, event, reason, at in reported
            if (kind := mark_of(event, reason))
        ],
    )
    delivered = [
        Lifted(mailbox, "bounced", at, DELIVERED)
        for mailbox, event, _, at in sorted(reported, key=lambda one: one[3])
        if event == "delivered"
    ]
    lift(connection, delivered)
    ask_again_after_delivery(connection, {one.address_hash: one.at for one in delivered})
    failed = {mailbox for mailbox, event, _, _ in reported if event in _FAILED}
    note_undelivered(connection, failed)


def lock_reported(connection: Connection, reported: Collection[tuple[bytes, str]]) -> None:
    """Lock the mailboxes that reports speak of: mailbox, event.

    Unsubscribes look for accounts that name the mailbox, so they lock it exclusively too.
    """
    mailboxes = {mailbox for mailbox, _ in reported}
    if any(event in _AGAINST or event == "unsubscribed" for _, event in reported):
        lock_mailboxes_exclusive(connection, mailboxes)
    else:
        lock_mailboxes_shared(connection, mailboxes)
