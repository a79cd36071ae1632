"""Notices: who is informed, asked or left out, and what becomes of a notice. RULES 9 to 16."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final, Literal, get_args

from reconsent.domain.account import AccountState, Contact, Status
from reconsent.domain.consent import NO, Decision, EventState
from reconsent.domain.use import Held, Use, covers, meet, sort_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = Literal["choice", "information", "reminder"]
Address = Literal["ok", "none", "bounced"]
State = Literal[
    "planned",
    "due",
    "attempting",
    "accepted",
    "delivered",
    "bounced",
    "complained",
    "rejected",
    "unknown",
    "abandoned",
    "suppressed",
    "superseded",
]
Settled = Literal["answered", "expired", "superseded", "void"]

UNMAILED: Final = frozenset({"planned", "due"})
REPLACEABLE: Final = frozenset({"planned", "due", "suppressed"})
"""States in which a choice notice always asks the current ask. RULES 13."""
MAILED: Final = frozenset(get_args(State)) - REPLACEABLE - {"superseded"}
"""States of a notice that the provider accepted, may have accepted, or rejected."""


@dataclass(frozen=True, kw_only=True)
class Reach(AccountState):
    """What decides whether an account may be mailed."""

    address: Address


REACHES: Final = tuple(
    Reach(status=status, contact=contact, minor=minor, address=address)
    for status, contact, minor, address in product(
        get_args(Status), get_args(Contact), (False, True), get_args(Address)
    )
)
"""All that there are. The fragment reach_number of the SQL numbers them in this order."""


@dataclass(frozen=True, kw_only=True)
class Last:
    """The account's last notice of the latest version, if it has one."""

    kind: Kind
    state: State
    asks: frozenset[Use]
    undelivered: bool = False
    dead: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """What planning does for one account.

    `plan` is the kind of a further notice, `last` the state that the last notice gets;
    `suppression` says why either is suppressed.
    """

    plan: Kind | None = None
    last: State | None = None
    suppression: str | None = None


NOTHING: Final = Step()


def suppression(kind: Kind, reach: Reach, *, cancelled: bool = False) -> str | None:
    """Return the first reason not to mail; None if there is none. RULES 9, 10.

    `cancelled`: the release was cancelled.
    """
    if reach.status == "deleted":
        return "deleted"
    if reach.minor:
        return "minor"
    if reach.opted_out:
        return reach.opted_out
    if kind == "information" and reach.contact != "all":
        return "not_opted_in"
    if reach.address == "none":
        return "no_address"
    if reach.address == "bounced":
        return "bounced"
    return "cancelled" if cancelled else None


def next_step(
    reach: Reach,
    ask: frozenset[Use],
    last: Last | None,
    *,
    inform: bool = False,
    cancelled: bool = False,
) -> Step:
    """Decide what to do about an account's notices of the latest version. RULES 9 to 15.

    `inform`: an information notice is due to the account (planned once, when a version is
    published). `cancelled`: the release was cancelled. The same function plans a whole release,
    and single accounts when late facts change them.
    """
    if reach.status == "deleted":
        # The deletion closed existing notices; this is for a deletion during planning.
        unmailed = last is not None and last.state in UNMAILED
        return Step(last="suppressed", suppression="deleted") if unmailed else NOTHING
    if not ask:
        if last is None:
            return _plan("information", reach, cancelled=cancelled) if inform else NOTHING
        if last.kind == "choice" and last.state in REPLACEABLE and not last.dead:
            return Step(last="superseded")
        return NOTHING
    if last is None or last.dead or last.state == "superseded":
        return _plan("choice", reach, cancelled=cancelled)
    if last.kind == "information":
        unsent = last.state in UNMAILED
        planned = _plan("choice", reach, cancelled=cancelled)
        return Step(
            plan="choice",
            suppression=planned.suppression,
            last="superseded" if unsent else None,
        )
    return _renewed(reach, ask, last, cancelled=cancelled)


def _plan(kind: Kind, reach: Reach, *, cancelled: bool) -> Step:
    return Step(plan=kind, suppression=suppression(kind, reach, cancelled=cancelled))


def _renewed(reach: Reach, ask: frozenset[Use], last: Last, *, cancelled: bool) -> Step:
    """Decide about an account with a choice notice and a non-empty ask."""
    if last.state in REPLACEABLE:
        why = suppression("choice", reach, cancelled=cancelled)
        return Step(last="suppressed" if why else "due", suppression=why)
    undelivered_but_reachable = last.undelivered and reach.address == "ok"
    if undelivered_but_reachable or not asks_already(last.asks, ask):
        return _plan("choice", reach, cancelled=cancelled)
    return NOTHING


def asks_already(asked: frozenset[Use], ask: frozenset[Use]) -> bool:
    """Tell whether a mailed notice that is still open asks all of the ask. RULES 12, 13."""
    return bool(asked & ask) and covered_by(ask, asked)


def covered_by(ask: frozenset[Use], asked: frozenset[Use]) -> bool:
    """Tell whether what was asked covers everything in an ask."""
    return all(any(covers(use, new) for use in asked) for new in ask)


def settled(
    asks: frozenset[Use], ask: frozenset[Use], standing: Sequence[Decision]
) -> Settled | None:
    """Return how a choice notice's question was settled, if not superseded; or None. RULES 12."""
    if asks & ask:
        return None
    covering = [[d for d in standing if covers(d.use, use)] for use in asks]
    decided = [found for found in covering if found]
    if not decided:
        return "void"
    silent = any(all(d.event_state == EventState.EXPIRED for d in found) for found in decided)
    return "expired" if silent else "answered"


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question of a mail or page: all new uses with the same use and recipient. RULES 8."""

    data_use: str
    recipient: str
    concerns: tuple[Held, ...]

    @property
    def uses(self) -> tuple[Use, ...]:
        """The new uses that one answer to this question decides."""
        return tuple(Use(*held, self.data_use, self.recipient) for held in self.concerns)


def questions(ask: Iterable[Use]) -> tuple[Question, ...]:
    """Group an ask into questions, in a fixed order."""
    grouped: dict[tuple[str, str], list[Held]] = {}
    for use in sorted(ask, key=sort_key):
        grouped.setdefault((use.data_use, use.recipient), []).append(Held(*use[:2]))
    return tuple(
        Question(data_use=data_use, recipient=recipient, concerns=tuple(concerns))
        for (data_use, recipient), concerns in sorted(grouped.items())
    )


def part_refused(question: Question, standing: Sequence[Decision]) -> frozenset[Use]:
    """Return the standing refusals that cover part of a question. RULES 7."""
    return frozenset(
        decision.use
        for decision in standing
        if decision.event_state in NO and any(meet(decision.use, use) for use in question.uses)
    )
