"""Planning: what each account is told of the latest version of its policy. RULES 9 to 15.

Accounts in the same situation get the same answer, so the rules are asked once for each situation
and one statement writes for all accounts of a slice. The caller's transaction also notes how far
planning came, so that it goes on from there after any crash.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from psycopg.rows import class_row

from reconsent.domain.notice import (
    MAILED,
    NOTHING,
    Kind,
    Last,
    Settled,
    State,
    Step,
    next_step,
    settled,
)
from reconsent.facts.changes import (
    PLANNER,
    any_changes,
    changes_after,
    follow_to,
    lock_planning,
)
from reconsent.facts.sending.releases import ReleaseFlags, any_flags_to_apply, flags
from reconsent.facts.sets import Who, ask_ids
from reconsent.facts.slices import next_range
from reconsent.facts.versions import informs
from reconsent.store.named import named
from reconsent.store.postgres import look_up_by_index

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconsent.domain.consent import Decision
    from reconsent.domain.policy import Policy
    from reconsent.domain.use import Use
    from reconsent.facts.sets import Cohorts
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("planning")


@dataclass(frozen=True, kw_only=True)
class Situation(Who):
    """What accounts have in common that get the same answer; columns of the query."""

    last_kind: Kind
    last_state: State
    last_ask: int
    last_undelivered: bool
    last_dead: bool
    inform: bool


@dataclass(frozen=True, kw_only=True)
class Audience(Who):
    """A situation before a version is planned, and how many accounts are in it."""

    passes_on: bool
    accounts: int


@dataclass(frozen=True, kw_only=True)
class _Unplanned:
    """A version whose planning is not finished, and up to which account it came in all buckets."""

    version_id: int
    planned_to: int


@dataclass(frozen=True, kw_only=True)
class _Slice:
    """Some accounts of one policy: `look_at` reads those that `which` names."""

    policy: Policy
    flags: ReleaseFlags
    look_at: LiteralString
    which: Mapping[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """The slice as the queries take it."""
        return {
            "policy": self.policy.name,
            "version_id": self.flags.version_id,
            "ready": self.flags.ready,
            **self.which,
        }


def begin_planning(connection: Connection) -> None:
    """Let no other transaction plan until this one ends."""
    lock_planning(connection)
    look_up_by_index(connection)


def plan_release(
    connection: Connection, cohorts: Cohorts, policies: Policies, policy: Policy, limit: int
) -> bool:
    """Plan the next slice of a policy's latest version; False where it is planned.

    Earlier versions whose planning is not finished are planned together with it.
    """
    unplanned = _unplanned(connection, policies, policy)
    if not unplanned:
        return False
    latest = policies.latest_id(policy.name)
    after = unplanned[latest]
    upto = next_range(connection, after=after, limit=limit)
    if upto is None:
        finished = {"version_id": latest, "versions": list(unplanned)}
        connection.execute(SQL["finish"], finished)
        connection.execute(SQL["forget_progress"], finished)
        return True
    informing = [
        version_id for version_id in unplanned if informs(policies.versions[version_id], policy)
    ]
    part = _Slice(
        policy=policy,
        flags=flags(connection, latest),
        look_at=SQL["look_at_range"],
        which={"after": after, "upto": upto, "informing": informing},
    )
    _take_steps(connection, cohorts, part)
    connection.execute(SQL["planned_to"], {"version_id": latest, "planned_to": upto})
    return True


def plan_touched(connection: Connection, cohorts: Cohorts, policies: Policies, limit: int) -> bool:
    """Plan for the next accounts that changed; False where none did."""
    touched = changes_after(connection, PLANNER, "accounts", limit)
    if not touched:
        return False
    keys = sorted({change.account_key for change in touched})
    for policy in policies.by_name.values():
        of_latest = flags(connection, policies.latest_id(policy.name))
        part = _Slice(policy=policy, flags=of_latest, look_at=SQL["look_at"], which={"keys": keys})
        _take_steps(connection, cohorts, part)
    follow_to(connection, PLANNER, "accounts", touched)
    return True


def any_to_plan(connection: Connection, policies: Policies) -> bool:
    """Tell whether anything waits to be planned, also what is only about to be committed."""
    look_up_by_index(connection)
    [(unplanned,)] = connection.execute(SQL["any_unplanned"]).fetchall()
    touched = any_changes(connection, PLANNER)
    return unplanned or touched or any_flags_to_apply(connection, policies)


def informs_somebody(connection: Connection, policies: Policies, policy: Policy) -> bool:
    """Tell whether any version that is not planned yet asks for information mail."""
    unplanned = _unplanned(connection, policies, policy)
    return any(informs(policies.versions[version_id], policy) for version_id in unplanned)


def audience(connection: Connection, policy: Policy) -> list[Audience]:
    """Tell the situations apart that a policy's accounts are in before a version is planned."""
    cursor = connection.cursor(row_factory=class_row(Audience))
    return cursor.execute(SQL["audience"], {"policy": policy.name}).fetchall()


def _unplanned(connection: Connection, policies: Policies, policy: Policy) -> dict[int, int]:
    """Return how far the planning of a policy's versions came that is not finished."""
    ids = [policies.ids[policy.name, version.version] for version in policy.versions]
    cursor = connection.cursor(row_factory=class_row(_Unplanned))
    found = cursor.execute(SQL["unplanned"], {"versions": ids})
    return {version.version_id: version.planned_to for version in found}


class _Answer(NamedTuple):
    """What the rules answer for a situation."""

    situation: Situation
    ask: frozenset[Use]
    step: Step
    settles: bool
    settled: Settled | None


def _take_steps(connection: Connection, cohorts: Cohorts, part: _Slice) -> None:
    """Ask the rules once for each situation, and write what they answer."""
    connection.execute(part.look_at, part.parameters)
    cursor = connection.cursor(row_factory=class_row(Situation))
    found = cursor.execute(SQL["situations"]).fetchall()
    asks = cohorts.asks(connection, part.policy, {one.cohort for one in found})
    asked = cohorts.asked(connection, {one.last_ask for one in found})
    standings = cohorts.standings(connection, {one.standing_id for one in found})
    answers = [
        _answer(one, asks[one.cohort], asked[one.last_ask], standings[one.standing_id], part.flags)
        for one in found
    ]
    answers = [answer for answer in answers if answer.step != NOTHING or answer.settles]
    if answers:
        ids = ask_ids(connection, {answer.ask for answer in answers})
        connection.execute(SQL["take_steps"], part.parameters | _columns(answers, ids))
    connection.execute(SQL["looked"])


def _answer(
    situation: Situation,
    ask: frozenset[Use],
    asked: frozenset[Use],
    standing: Sequence[Decision],
    of_release: ReleaseFlags,
) -> _Answer:
    last = None
    if situation.last_kind:
        last = Last(
            kind=situation.last_kind,
            state=situation.last_state,
            asks=asked,
            undelivered=situation.last_undelivered,
            dead=situation.last_dead,
        )
    step = next_step(
        situation.reach, ask, last, inform=situation.inform, cancelled=of_release.cancelled
    )
    # Of a mailed choice notice it is noted whether, and as what, it is settled now.
    if situation.last_kind != "choice" or situation.last_state not in MAILED:
        return _Answer(situation, ask, step, settles=False, settled=None)
    became = "void" if situation.last_dead else settled(asked, ask, standing)
    return _Answer(situation, ask, step, settles=True, settled=became)


def _columns(answers: Sequence[_Answer], ids: dict[frozenset[Use], int]) -> dict[str, Any]:
    columns: dict[str, Any] = {
        field.name: [getattr(answer.situation, field.name) for answer in answers]
        for field in fields(Situation)
    }
    return columns | {
        "plan": [answer.step.plan for answer in answers],
        "last": [answer.step.last for answer in answers],
        "suppression": [answer.step.suppression for answer in answers],
        "settles": [answer.settles for answer in answers],
        "settled": [answer.settled for answer in answers],
        "ask_id": [ids[answer.ask] for answer in answers],
    }
