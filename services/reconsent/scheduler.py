"""What time brings: questions that nobody answered in time expire. RULES 16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconsent.adapters.postgres import transaction
from reconsent.domain.use import Use, sort_key
from reconsent.facts.accounts import AccountName
from reconsent.facts.choices import Choice, record_choices
from reconsent.facts.cohorts import Cohorts
from reconsent.facts.versions import Policies, PublishedVersions
from reconsent.queries import named

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from reconsent.adapters.postgres import Connection, Pool
    from reconsent.domain.policy import Policy

SQL = named("notices")
BATCH: Final = 1000


class Scheduler:
    """Lets mailed questions expire."""

    name = "scheduler"

    def __init__(self, connections: Pool, now: Callable[[], datetime]) -> None:
        """Act over these connections by this clock."""
        self._connections = connections
        self._now = now
        self._versions = PublishedVersions()
        self._cohorts = Cohorts()

    def work(self) -> bool:
        """Let one batch of questions expire; False where none was overdue."""
        return transaction(self._connections, self._expire)

    def idle(self) -> bool:
        """Tell that nothing is overdue: what is, was let expire by `work`."""
        return True

    def _expire(self, connection: Connection) -> bool:
        policies = self._versions.held(connection)
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
        connection.execute(SQL["settle"], {"settled": "expired", "notice_ids": closed})
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
