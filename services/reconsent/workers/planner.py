"""Plan notices: for a published version, and for accounts that late facts touched. RULES 9 to 15.

Accounts in the same situation get the same answer, so the rules are asked once for each
situation and one statement writes for all accounts of a slice. Every slice is a transaction of
its own that ends by noting how far it came; whoever starts again goes on from there.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from typing_extensions import override

from reconsent.domain.notice import (
    MAILED,
    NOTHING,
    Last,
    Settled,
    Step,
    next_step,
    settled,
)
from reconsent.domain.policy import Policy
from reconsent.facts.sending.releases import HeldBack, any_to_follow, follow, held_back
from reconsent.facts.sets import Cohorts, Who, ask_ids
from reconsent.facts.versions import Policies, PublishedVersions, informs
from reconsent.store.named import named
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.consent import Decision
    from reconsent.domain.use import Use
    from reconsent.store.postgres import Connection, Database

SQL = named("planning")
RELEASES = named("sending/releases")
SLICE: Final = 20_000
_NEVER: Final = sys.maxsize


class Situation(NamedTuple):
    """What accounts have in common that get the same answer; columns of the view."""

    who: Who
    last_kind: Any
    last_state: Any
    last_ask: int
    last_undelivered: bool
    last_dead: bool
    inform: bool


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Some accounts of one policy, and which of them a release informs."""

    policy: Policy
    keys: Sequence[int]
    held_back: HeldBack
    release: bool = False
    inform_after: int = _NEVER

    @property
    def parameters(self) -> dict[str, Any]:
        """The slice as the queries take it."""
        return {
            "policy": self.policy.name,
            "keys": list(self.keys),
            "release": self.release,
            "inform_after": self.inform_after,
            "ready": "planned" if self.held_back.paused else "due",
        }


class Planner(Service):
    """Plans what is to be planned, a slice at a time."""

    name = "planner"

    def __init__(self, database: Database, *, slice_size: int = SLICE) -> None:
        """Plan in this database."""
        self._database = database
        self._slice_size = slice_size
        self._versions = PublishedVersions()
        self._cohorts = Cohorts()

    @override
    def work(self) -> bool:
        """Plan one slice; False where there was nothing to plan."""
        return self._database.transaction(self._plan)

    @override
    def idle(self) -> bool:
        """Tell whether nothing waits to be planned, also nothing just being committed."""
        with self._database.connection() as connection:
            waiting = [
                connection.execute(SQL[query]).fetchone()
                for query in ("any_unplanned", "any_touched")
            ]
            waiting.append((any_to_follow(connection, self._versions.now(connection)),))
        return not any(row and row[0] for row in waiting)

    def _plan(self, connection: Connection) -> bool:
        connection.execute(RELEASES["lock"])
        connection.execute(SQL["look_up"])
        policies = self._versions.locked(connection)
        return (
            follow(connection, policies, self._slice_size)
            or any(
                self._plan_release(connection, policies, policy)
                for policy in policies.by_name.values()
            )
            or self._plan_touched(connection, policies)
        )

    def _plan_release(self, connection: Connection, policies: Policies, policy: Policy) -> bool:
        """Plan a policy's latest version; those published before and not planned go with it."""
        ids = [policies.ids[policy.name, version.version] for version in policy.versions]
        waiting = connection.execute(SQL["unplanned"], {"versions": ids})
        unplanned: dict[int, int] = dict(waiting.fetchall())
        if not unplanned:
            return False
        latest = ids[-1]
        keys = [
            key
            for (key,) in connection.execute(
                SQL["slice"],
                {
                    "after": unplanned[latest],
                    "properties": policies.properties(policy.name),
                    "limit": self._slice_size,
                },
            )
        ]
        if not keys:
            connection.execute(SQL["finish"], {"version_id": latest, "versions": list(unplanned)})
            return True
        informing = [
            planned_to
            for version_id, planned_to in unplanned.items()
            if informs(policies.versions[version_id], policy)
        ]
        part = Slice(
            policy=policy,
            keys=keys,
            release=True,
            held_back=held_back(connection, latest),
            inform_after=min(informing, default=_NEVER),
        )
        self._take_steps(connection, part)
        connection.execute(SQL["planned_to"], {"version_id": latest, "planned_to": keys[-1]})
        return True

    def _plan_touched(self, connection: Connection, policies: Policies) -> bool:
        touched = connection.execute(SQL["touched"], {"limit": self._slice_size}).fetchall()
        if not touched:
            return False
        for policy in policies.by_name.values():
            held = held_back(connection, policies.latest_id(policy.name))
            keys = [key for key, _ in touched]
            self._take_steps(connection, Slice(policy=policy, keys=keys, held_back=held))
        key, changed = touched[-1]
        connection.execute(SQL["follow"], {"account_key": key, "changed": changed})
        return True

    def _take_steps(self, connection: Connection, part: Slice) -> None:
        """Ask the rules once for each situation, and write what they answer."""
        connection.execute(SQL["look_at"], part.parameters)
        rows = connection.execute(SQL["situations"]).fetchall()
        found = [Situation(Who(*row[:6]), *row[6:-1]) for row in rows]
        asks = self._cohorts.asks(connection, part.policy, {s.who.cohort for s in found})
        asked = self._cohorts.asked(connection, {s.last_ask for s in found})
        standings = self._cohorts.standings(connection, {s.who.standing_id for s in found})
        steps = [
            _Answer(
                situation,
                asks[situation.who.cohort],
                _step(situation, asks[situation.who.cohort], asked[situation.last_ask], part),
                _settling(
                    situation,
                    asks[situation.who.cohort],
                    asked[situation.last_ask],
                    standings[situation.who.standing_id],
                ),
            )
            for situation in found
        ]
        steps = [answer for answer in steps if answer.step != NOTHING or answer.settles]
        if steps:
            ids = ask_ids(connection, {answer.ask for answer in steps})
            connection.execute(SQL["take_steps"], part.parameters | _columns(steps, ids))
        connection.execute(SQL["looked"])


class _Answer(NamedTuple):
    situation: Situation
    ask: frozenset[Use]
    step: Step
    settling: tuple[bool, Settled | None]

    @property
    def settles(self) -> bool:
        return self.settling[0]


def _step(situation: Situation, ask: frozenset[Use], asked: frozenset[Use], part: Slice) -> Step:
    last = None
    if situation.last_kind:
        last = Last(
            kind=situation.last_kind,
            state=situation.last_state,
            asks=asked,
            undelivered=situation.last_undelivered,
            dead=situation.last_dead,
        )
    return next_step(
        situation.who.reach, ask, last, inform=situation.inform, cancelled=part.held_back.cancelled
    )


def _settling(
    situation: Situation,
    ask: frozenset[Use],
    asked: frozenset[Use],
    standing: Sequence[Decision],
) -> tuple[bool, Settled | None]:
    """Tell whether, and as what, a mailed choice notice is settled now."""
    if situation.last_kind != "choice" or situation.last_state not in MAILED:
        return False, None
    return True, "void" if situation.last_dead else settled(asked, ask, standing)


def _columns(answers: Sequence[_Answer], ids: dict[frozenset[Use], int]) -> dict[str, Any]:
    who, *rest = Situation._fields
    columns: dict[str, Any] = {
        field: [getattr(getattr(answer.situation, who), field) for answer in answers]
        for field in Who._fields
    } | {field: [getattr(answer.situation, field) for answer in answers] for field in rest}
    return columns | {
        "plan": [answer.step.plan for answer in answers],
        "last": [answer.step.last for answer in answers],
        "suppression": [answer.step.suppression for answer in answers],
        "settles": [answer.settles for answer in answers],
        "settled": [answer.settling[1] for answer in answers],
        "ask_id": [ids[answer.ask] for answer in answers],
    }
