"""Asking again what did not arrive: because time has passed, or an operator orders it. RULES 15.

Where the mailbox is to blame, neither does: it is asked again when the mark is lifted
(facts/record/asking_again.py), or at another mailbox.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.facts.notice_ids import as_columns, in_buckets
from reconsent.store.named import named
from reconsent.store.postgres import look_up_by_index
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("sending/asking_again")
PATIENCE: Final = timedelta(days=7)
"""After this time a passing state of a mailbox may be over."""
MOST_TIMES: Final = 3
"""How often the same mailbox is tried again because time has passed."""


class _Undelivered(NamedTuple):
    """A question that did not arrive."""

    account_key: int
    notice_id: UUID


class _Waiting(NamedTuple):
    """A locked question that did not arrive, and whether to try its mailbox again."""

    account_key: int
    notice_id: UUID
    hopeful: bool


class _Missed(NamedTuple):
    """A question that did not arrive, and whether its account can be asked again."""

    account_key: int
    notice_id: UUID
    reachable: bool
    marked: bool


class Resent(NamedTuple):
    """How many notices are asked again, and how many are not, because the mailbox is marked."""

    asked_again: int
    marked: int

    def plus(self, other: Resent) -> Resent:
        """Return both together."""
        return Resent(self.asked_again + other.asked_again, self.marked + other.marked)


def ask_again_after_a_while(
    connection: Connection, policies: Policies, now: datetime, limit: int
) -> bool:
    """Let questions be asked again whose time has come; False where there are none."""
    look_up_by_index(connection)
    wanted = {"latest": policies.latest_ids, "until": now - PATIENCE, "limit": limit}
    found = all_rows(connection, _Undelivered, SQL["waiting"], wanted)
    waiting = [
        question
        for of_bucket in in_buckets({one.notice_id: one.account_key for one in found})
        for question in all_rows(
            connection, _Waiting, SQL["lock_waiting"], of_bucket | {"most": MOST_TIMES}
        )
    ]
    if waiting:
        columns: dict[str, Any] = {
            "account_key": [one.account_key for one in waiting],
            "notice_id": [one.notice_id for one in waiting],
            "hopeful": [one.hopeful for one in waiting],
        }
        connection.execute(SQL["wait_over"], columns)
    return bool(waiting)


def resend(connection: Connection, version_id: int, before: datetime, limit: int) -> Resent | None:
    """Ask again what did not arrive of a version until a time; None where nothing is left.

    Up to `limit` notices of it: repeat it until there are none.
    """
    wanted = {"version_id": version_id, "before": before, "limit": limit}
    missed = all_rows(connection, _Missed, SQL["missed"], wanted)
    if not missed:
        return None
    owners = as_columns({one.notice_id: one.account_key for one in missed})
    connection.execute(SQL["resend"], owners)
    return Resent(sum(one.reachable for one in missed), sum(one.marked for one in missed))


def keep_resend_order(
    connection: Connection,
    version_id: int,
    at: datetime,
    *,
    said_by: str,
    reason: str | None,
    notices: int,
) -> None:
    """Keep that an operator ordered it, and why."""
    order = {"version_id": version_id, "at": at, "said_by": said_by, "reason": reason}
    connection.execute(SQL["keep_order"], order | {"notices": notices})
