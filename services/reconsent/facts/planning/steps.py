"""The general way: accounts with notices of the version, and accounts that changed. RULES 9 to 15.

Accounts in the same situation get the same answer, so the rules are asked once for each situation
and one statement writes for all.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

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
from reconsent.facts.changes import PLANNER, changes_after, follow_to
from reconsent.facts.sending.releases import ReleaseFlags, flags
from reconsent.facts.sets import Who, ask_ids
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.consent import Decision
    from reconsent.domain.policy import Policy
    from reconsent.domain.use import Use
    from reconsent.facts.sets import Cohorts
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("planning/steps")


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
class Looked:
    """Accounts of one policy, by their keys, and which of them a release informs.

    `inform_after` has the account after which they are informed, by bucket.
    """

    policy: Policy
    flags: ReleaseFlags
    keys: Sequence[int]
    release: bool = False
    unsent: bool = False
    inform_after: Sequence[int] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """The accounts as the queries take them."""
        return {
            "policy": self.policy.name,
            "version_id": self.flags.version_id,
            "ready": self.flags.ready,
            "keys": self.keys,
            "release": self.release,
            "unsent": self.unsent,
            "inform_after": list(self.inform_after),
        }


def plan_touched(connection: Connection, cohorts: Cohorts, policies: Policies, limit: int) -> bool:
    """Plan for the next accounts that changed; False where none did."""
    touched = changes_after(connection, PLANNER, "accounts", limit)
    if not touched:
        return False
    keys = sorted({change.account_key for change in touched})
    for policy in policies.by_name.values():
        of_latest = flags(connection, policies.latest_id(policy.name))
        take_steps(connection, cohorts, Looked(policy=policy, flags=of_latest, keys=keys))
    follow_to(connection, PLANNER, "accounts", touched)
    return True


class _Answer(NamedTuple):
    """What the rules answer for a situation."""

    situation: Situation
    ask: frozenset[Use]
    step: Step
    settles: bool
    settled: Settled | None


def take_steps(connection: Connection, cohorts: Cohorts, looked: Looked) -> None:
    """Ask the rules once for each situation, and write what they answer."""
    connection.execute(SQL["look_at"], looked.parameters)
    cursor = connection.cursor(row_factory=class_row(Situation))
    found = cursor.execute(SQL["situations"]).fetchall()
    asks = cohorts.asks(connection, looked.policy, {one.cohort for one in found})
    asked = cohorts.asked(connection, {one.last_ask for one in found})
    standings = cohorts.standings(connection, {one.standing_id for one in found})
    answers = [
        _answer(
            one, asks[one.cohort], asked[one.last_ask], standings[one.standing_id], looked.flags
        )
        for one in found
    ]
    answers = [answer for answer in answers if answer.step != NOTHING or answer.settles]
    if answers:
        ids = ask_ids(connection, {answer.ask for answer in answers})
        connection.execute(SQL["take_steps"], looked.parameters | _columns(answers, ids))
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
