"""What time brings: reminders, questions that nobody answered in time, unknown outcomes. RULES 16.

Several schedulers may run: each takes what no other one has under lock.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from reconsent.domain.account import AccountName
from reconsent.domain.notice import suppression
from reconsent.domain.use import Use, sort_key
from reconsent.facts.record.choices import Choice, record_choices
from reconsent.facts.sending.releases import held_back
from reconsent.facts.sets import Cohorts, Who, ask_ids
from reconsent.facts.versions import Policies, PublishedVersions
from reconsent.store.named import named
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from reconsent.domain.mail import Delivery
    from reconsent.domain.policy import Policy, Reminder
    from reconsent.store.postgres import Connection, Database

SQL = named("sending/due_by_time")
PUBLISHING = named("record/publishing")
RELEASES = named("sending/releases")
BATCH: Final = 1000
SETTLE_AFTER: Final = timedelta(days=1)
# A reminder that could not be sent in time is left out: after a stop they would come in a heap.
LATE: Final = timedelta(days=1)


class Scheduler(Service):
    """Reminds of mailed questions, lets them expire, and settles what became of messages."""

    name = "scheduler"

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        *,
        delivery: Delivery = "at_most_once",
        settle_after: timedelta = SETTLE_AFTER,
    ) -> None:
        """Act in this database by this clock.

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
        """Take one batch of each; False where no time had come for any."""
        worked = False
        for task in (self._settle, self._expire, self._remind):
            worked |= self._database.transaction(task)
        return worked

    def _settle(self, connection: Connection) -> bool:
        """Settle by the setting what no provider has told of in time."""
        wanted = {
            "state": "abandoned" if self._delivery == "at_most_once" else "due",
            "until": self._now() - self._settle_after,
            "limit": BATCH,
        }
        return bool(connection.execute(SQL["settle_unknown"], wanted).rowcount)

    def _remind(self, connection: Connection) -> bool:
        """Plan reminders whose time has come; of several only the last, and none that is late."""
        policies = self._versions.locked(connection)
        # Sequences are given by one at a time.
        connection.execute(RELEASES["lock"])
        planned = [
            self._remind_of_version(connection, policies, policy, occasion)
            for policy in policies.by_name.values()
            for occasion in policy.latest.reminders
        ]
        return any(planned)

    def _remind_of_version(
        self, connection: Connection, policies: Policies, policy: Policy, occasion: Reminder
    ) -> bool:
        version_id = policies.latest_id(policy.name)
        now = self._now()
        rows = connection.execute(
            SQL["to_remind_of"],
            {
                "version_id": version_id,
                "occasion": occasion.number,
                "accepted_until": now - occasion.after,
                "accepted_after": now - min(occasion.until, occasion.after + LATE),
                "limit": BATCH,
            },
        ).fetchall()
        held = held_back(connection, version_id)
        asks = self._cohorts.asks(connection, policy, {row[4:6] for row in rows})
        asked = self._cohorts.asked(connection, {row[3] for row in rows})
        open_rows = [(row, left) for row in rows if (left := asks[row[4:6]] & asked[row[3]])]
        if not open_rows:
            return False
        ids = ask_ids(connection, {left for _, left in open_rows})
        reasons = [
            suppression("reminder", Who(*row[4:]).reach, cancelled=held.cancelled)
            for row, _ in open_rows
        ]
        ready = "planned" if held.paused else "due"
        connection.execute(
            SQL["remind"],
            {
                "occasion": occasion.number,
                "about": [row[0] for row, _ in open_rows],
                "account_key": [row[1] for row, _ in open_rows],
                "version_id": [row[2] for row, _ in open_rows],
                "state": ["suppressed" if why else ready for why in reasons],
                "suppression": reasons,
                "ask_id": [ids[left] for _, left in open_rows],
            },
        )
        return True

    def _expire(self, connection: Connection) -> bool:
        policies = self._versions.locked(connection)
        expired = [
            self._expire_version(connection, policies, policy, within)
            for policy in policies.by_name.values()
            if (within := policy.latest.respond_within) is not None
        ]
        return any(expired)

    def _expire_version(
        self, connection: Connection, policies: Policies, policy: Policy, within: timedelta
    ) -> bool:
        overdue = connection.execute(
            SQL["overdue"],
            {
                "version_id": policies.latest_id(policy.name),
                "accepted_until": self._now() - within,
                "limit": BATCH,
            },
        ).fetchall()
        if not overdue:
            return False
        asks = self._cohorts.asks(connection, policy, {row[4:6] for row in overdue})
        asked = self._cohorts.asked(connection, {row[6] for row in overdue})
        silences = [
            _silence(row, use, item, within, policy.latest.version)
            for row in overdue
            for item, use in enumerate(sorted(asked[row[6]], key=sort_key))
            if use in asks[row[4:6]]
        ]
        record_choices(connection, silences, policies)
        closed = sorted({choice.notice_id for choice in silences if choice.notice_id})
        connection.execute(PUBLISHING["settle"], {"settled": "expired", "notice_ids": closed})
        return bool(silences)


def _silence(row: Any, use: Use, item: int, within: timedelta, version: str) -> Choice:  # noqa: ANN401 -- a database row
    notice_id, property_name, account, accepted_at = row[:4]
    return Choice(
        name=AccountName(property_name, account),
        answer="expired",
        use=use,
        decided_at=accepted_at + within,
        source="reconsent:scheduler",
        event_id=str(notice_id),
        item=item,
        policy_version=version,
        notice_id=notice_id,
    )
