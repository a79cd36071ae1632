"""What falls due: reminders, questions that nobody answered in time, unknown outcomes. RULES 16.

Each function takes up to `limit` notices that no other transaction has locked, and returns False
where no time had come for any.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from psycopg.rows import class_row
from psycopg.sql import SQL as COMPOSED
from psycopg.sql import Identifier, Placeholder

from reconsent.domain.account import AccountName
from reconsent.domain.event_hash import hash_of_own
from reconsent.domain.notice import suppression
from reconsent.domain.use import Use, sort_key
from reconsent.facts.changes import lock_planning
from reconsent.facts.notice_ids import in_buckets
from reconsent.facts.record.choices import Choice, record_choices
from reconsent.facts.record.publishing import settle_questions
from reconsent.facts.sending.releases import flags
from reconsent.facts.sets import Who, ask_ids
from reconsent.store.named import named
from reconsent.store.postgres import look_up_by_index

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from psycopg.sql import Composed

    from reconsent.domain.mail import Delivery
    from reconsent.domain.policy import Policy, Reminder
    from reconsent.facts.sets import Cohorts
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("sending/due_by_time")
_IS_OPEN: Final = COMPOSED(SQL["is_open"]).format(bucket=Identifier("notices", "bucket"))
_IS_OPEN_IN_BUCKET: Final = COMPOSED(SQL["is_open"]).format(bucket=Placeholder("bucket"))
TO_REMIND_OF: Final = COMPOSED(SQL["to_remind_of"]).format(is_open=_IS_OPEN)
_LOCK_TO_REMIND_OF: Final = COMPOSED(SQL["lock_to_remind_of"]).format(is_open=_IS_OPEN_IN_BUCKET)
OVERDUE: Final = COMPOSED(SQL["overdue"]).format(is_open=_IS_OPEN)
_LOCK_OVERDUE: Final = COMPOSED(SQL["lock_overdue"]).format(is_open=_IS_OPEN_IN_BUCKET)
# Later reminders are left out: otherwise they would all go out at once after downtime.
LATE: Final = timedelta(days=1)
_Row = TypeVar("_Row")


class _Open(NamedTuple):
    """A mailed question that its account can still answer."""

    account_key: int
    notice_id: UUID


@dataclass(frozen=True, kw_only=True)
class _Unanswered(Who):
    """A mailed question for which a reminder's time has come."""

    notice_id: UUID
    account_key: int
    ask_id: int


@dataclass(frozen=True, kw_only=True)
class _Overdue:
    """A mailed question whose time to respond is over."""

    notice_id: UUID
    account_key: int
    property_name: str
    account: str
    accepted_at: datetime
    holdings_id: int
    standing_id: int
    ask_id: int

    @property
    def cohort(self) -> tuple[int, int]:
        """The (holdings, standing) that decide what is asked."""
        return self.holdings_id, self.standing_id


def settle_unknown(
    connection: Connection, delivery: Delivery, *, until: datetime, limit: int
) -> bool:
    """Give up or send again messages of whose outcome no provider reported anything in time."""
    look_up_by_index(connection)
    state = "abandoned" if delivery == "at_most_once" else "due"
    wanted = {"state": state, "until": until, "limit": limit}
    return bool(connection.execute(SQL["settle_unknown"], wanted).rowcount)


def remind(
    connection: Connection, cohorts: Cohorts, policies: Policies, now: datetime, limit: int
) -> bool:
    """Plan reminders whose time has come; of several only the last, and none that is late."""
    lock_planning(connection)
    look_up_by_index(connection)
    planned = [
        _remind_of(connection, cohorts, policies, policy, occasion, now=now, limit=limit)
        for policy in policies.by_name.values()
        for occasion in policy.latest.reminders
    ]
    return any(planned)


def expire(
    connection: Connection, cohorts: Cohorts, policies: Policies, now: datetime, limit: int
) -> bool:
    """Record the silence of those who did not answer within the time that their version gives."""
    look_up_by_index(connection)
    expired = [
        _expire_questions(connection, cohorts, policies, policy, now=now, limit=limit)
        for policy in policies.by_name.values()
        if policy.latest.respond_within is not None
    ]
    return any(expired)


def _remind_of(
    connection: Connection,
    cohorts: Cohorts,
    policies: Policies,
    policy: Policy,
    occasion: Reminder,
    *,
    now: datetime,
    limit: int,
) -> bool:
    version_id = policies.latest_id(policy.name)
    wanted = {
        "version_id": version_id,
        "before": list(range(occasion.number)),
        "accepted_until": now - occasion.after,
        "accepted_after": now - min(occasion.until, occasion.after + LATE),
        "limit": limit,
    }
    found = _locked(connection, _Unanswered, (TO_REMIND_OF, _LOCK_TO_REMIND_OF), wanted)
    asks = cohorts.asks(connection, policy, {question.cohort for question in found})
    asked = cohorts.asked(connection, {question.ask_id for question in found})
    left = {
        question: ask
        for question in found
        if (ask := asks[question.cohort] & asked[question.ask_id])
    }
    if left:
        _plan_reminders(connection, version_id, occasion, left)
    return bool(left)


def _plan_reminders(
    connection: Connection,
    version_id: int,
    occasion: Reminder,
    left: Mapping[_Unanswered, frozenset[Use]],
) -> None:
    """Plan a reminder for each question, of what is left of it."""
    ids = ask_ids(connection, left.values())
    of_release = flags(connection, version_id)
    reasons = [
        suppression("reminder", question.reach, cancelled=of_release.cancelled) for question in left
    ]
    columns = {
        "version_id": version_id,
        "occasion": occasion.number,
        "about": [question.notice_id for question in left],
        "account_key": [question.account_key for question in left],
        "state": ["suppressed" if reason else of_release.ready for reason in reasons],
        "suppression": reasons,
        "ask_id": [ids[ask] for ask in left.values()],
    }
    connection.execute(SQL["remind"], columns)


def _expire_questions(
    connection: Connection,
    cohorts: Cohorts,
    policies: Policies,
    policy: Policy,
    *,
    now: datetime,
    limit: int,
) -> bool:
    within = policy.latest.respond_within or timedelta.max
    wanted = {
        "version_id": policies.latest_id(policy.name),
        "reminded": list(range(len(policy.latest.reminders) + 1)),
        "accepted_until": now - within,
        "limit": limit,
    }
    found = _locked(connection, _Overdue, (OVERDUE, _LOCK_OVERDUE), wanted)
    asks = cohorts.asks(connection, policy, {question.cohort for question in found})
    asked = cohorts.asked(connection, {question.ask_id for question in found})
    silences = [
        _silence(question, use, item, within, policy.latest.version)
        for question in found
        for item, use in enumerate(sorted(asked[question.ask_id], key=sort_key))
        if use in asks[question.cohort]
    ]
    if not silences:
        return False
    record_choices(connection, silences, policies)
    silent = {choice.notice_id for choice in silences}
    settle_questions(
        connection,
        "expired",
        {one.notice_id: one.account_key for one in found if one.notice_id in silent},
    )
    return True


def _locked(
    connection: Connection,
    row: type[_Row],
    queries: tuple[Composed, Composed],
    wanted: dict[str, Any],
) -> list[_Row]:
    """Find questions in all buckets, then lock them bucket by bucket; locked ones are left out."""
    find, lock = queries
    with connection.cursor(row_factory=class_row(_Open)) as cursor:
        found = cursor.execute(find, wanted).fetchall()
    locked: list[_Row] = []
    with connection.cursor(row_factory=class_row(row)) as cursor:
        for of_bucket in in_buckets({one.notice_id: one.account_key for one in found}):
            locked += cursor.execute(lock, wanted | of_bucket)
    return locked


def _silence(question: _Overdue, use: Use, item: int, within: timedelta, version: str) -> Choice:
    return Choice(
        name=AccountName(question.property_name, question.account),
        answer="expired",
        use=use,
        decided_at=question.accepted_at + within,
        event_hash=hash_of_own("expiry", str(question.notice_id)),
        item=item,
        policy_version=version,
        notice_id=question.notice_id,
    )
