"""What falls due: reminders, questions that nobody answered in time, unknown outcomes. RULES 16.

Several schedulers may run: each takes what no other one has locked. They also merge the counts of
notices.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from reconsent.facts.changes import drop_left_behind, lock_planning, prune
from reconsent.facts.record.forgetting import forget_later
from reconsent.facts.record.notice_counts import merge_counts
from reconsent.facts.restores import current_era
from reconsent.facts.sending.asking_again import ask_again_after_a_while
from reconsent.facts.sending.due_by_time import expire, remind, settle_unknown
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import look_up_by_index
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from reconsent.domain.mail import Delivery
    from reconsent.store.postgres import Connection, Database

BATCH: Final = 1000
PRUNED: Final = 20_000
_LEFT_BEHIND: Final = timedelta(days=7)


class Scheduler(Service):
    """Reminds, asks again, lets questions expire, settles unknown outcomes, forgets what is due.

    It also shortens the log of changes.
    """

    name = "scheduler"

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        *,
        delivery: Delivery,
        settle_after: timedelta,
    ) -> None:
        """Act by this clock.

        An outcome that is unknown for `settle_after` is settled by `delivery`: the message is given
        up, or sent again.
        """
        self._database = database
        self._now = now
        self._delivery = delivery
        self._settle_after = settle_after
        self._versions = PublishedVersions()
        self._cohorts = Cohorts()

    @override
    def work(self) -> bool:
        """Take one batch of each, in a transaction each; False where no time had come for any."""
        worked = False
        for task in (
            self._settle,
            self._expire,
            self._remind,
            self._ask_again,
            self._forget,
            self._prune,
        ):
            worked |= self._database.transaction(task)
        self._database.transaction(merge_counts)
        return worked

    def _settle(self, connection: Connection) -> bool:
        until = self._now() - self._settle_after
        return settle_unknown(connection, self._delivery, until=until, limit=BATCH)

    def _expire(self, connection: Connection) -> bool:
        policies = self._versions.locked(connection)
        return expire(connection, self._cohorts, policies, self._now(), BATCH)

    def _remind(self, connection: Connection) -> bool:
        policies = self._versions.locked(connection)
        return remind(connection, self._cohorts, policies, self._now(), BATCH)

    def _ask_again(self, connection: Connection) -> bool:
        """Try mailboxes again that did not take a question. RULES 15."""
        policies = self._versions.locked(connection)
        return ask_again_after_a_while(connection, policies, self._now(), BATCH)

    def _forget(self, connection: Connection) -> bool:
        """Take what goes some time after the deletion of an account. RULES 28."""
        look_up_by_index(connection)
        return forget_later(connection, self._now(), BATCH)

    def _prune(self, connection: Connection) -> bool:
        """Delete what all have read. After a restore, cursors of the planner mean nothing."""
        lock_planning(connection)  # no restore is recorded meanwhile
        current_era(connection)
        look_up_by_index(connection)
        drop_left_behind(connection, self._now() - _LEFT_BEHIND)
        return prune(connection, PRUNED)
