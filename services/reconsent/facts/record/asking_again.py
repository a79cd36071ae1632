"""What lets a question that did not arrive be asked again, at the same mailbox. RULES 15.

The mark on the mailbox is lifted, or it takes mail again. Time and operators do so too
(facts/sending/asking_again.py). The planner then plans the next sequence. What arrived after it had
failed is not asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconsent.domain.mail_report import Mark
    from reconsent.store.postgres import Connection

SQL = named("record/asking_again")
MOST_IN_VAIN: Final = 6
"""Once more questions than this of a version did not arrive, no delivery repeats them."""


def ask_again_after_lifting(
    connection: Connection, lifted: Mapping[tuple[bytes, Mark], datetime]
) -> None:
    """Ask again what did not reach mailboxes before anything but a delivery lifted their marks."""
    if lifted:
        columns = {
            "address_hash": [address_hash for address_hash, _ in lifted],
            "mark": [mark for _, mark in lifted],
            "at": list(lifted.values()),
        }
        connection.execute(SQL["after_lifting"], columns)


def ask_again_after_delivery(connection: Connection, delivered: Mapping[bytes, datetime]) -> None:
    """Ask again what did not reach some mailboxes before mail was delivered to them."""
    if delivered:
        columns = {
            "address_hash": list(delivered),
            "at": list(delivered.values()),
            "most": MOST_IN_VAIN,
        }
        connection.execute(SQL["after_delivery"], columns)
