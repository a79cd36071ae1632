"""Notices: who is told, asked, left out, and what becomes of it. RULES 9 to 16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from reconsent.domain.consent import NO, Decision, EventState
from reconsent.domain.use import Held, Use, covers, meet, sort_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconsent.domain.account import Contact, Status

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
MAILED: Final = frozenset(
    {
        "attempting",
        "accepted",
        "delivered",
        "bounced",
        "complained",
        "rejected",
        "unknown",
        "abandoned",
    }
)
"""States of a notice that the provider has accepted, or may have, or has turned down."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Whether and how an account may be written to."""

    status: Status
    contact: Contact
    minor: bool
    address: Address


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
    """What planning does for one account: end the last notice, renew it, or plan another."""

    plan: Kind | None = None
    last: State | None = None
    suppression: str | None = None


NOTHING: Final = Step()


def suppression(kind: Kind, reach: Reach, *, cancelled: bool = False) -> str | None:
    """Name the first reason not to write; None where there is none. RULES 9, 10.

    `cancelled` says that the release was.
    """
    reasons = {
        "deleted": reach.status == "deleted",
        "minor": reach.minor,
        "deactivated": reach.status == "deactivated",
        "all_comms_opt_out": reach.contact == "none",
        "not_opted_in": kind == "information" and reach.contact != "all",
        "no_address": reach.address == "none",
        "bounced": reach.address == "bounced",
        "cancelled": cancelled,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def next_step(
    reach: Reach,
    ask: frozenset[Use],
    last: Last | None,
    *,
    inform: bool = False,
    cancelled: bool = False,
) -> Step:
    """Decide what an account's notices of the latest version need now. RULES 9 to 15.

    `inform` says that information is due to the account (planned once, when a version is
    published), `cancelled` that the release was. The same answer serves a whole release and one
    account that late facts touched.
    """
    if reach.status == "deleted":
        # The deletion itself closed what there was; this is for one that overtook planning.
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
    """Decide about an account that has a choice notice and something to be asked."""
    if last.state in REPLACEABLE:
        why = suppression("choice", reach, cancelled=cancelled)
        return Step(last="suppressed" if why else "due", suppression=why)
    undelivered_but_reachable = last.undelivered and reach.address == "ok"
    if undelivered_but_reachable or not asks_already(last.asks, ask):
        return _plan("choice", reach, cancelled=cancelled)
    return NOTHING


def asks_already(asked: frozenset[Use], ask: frozenset[Use]) -> bool:
    """Tell whether an open mailed notice asks all of the ask. RULES 12, 13."""
    return bool(asked & ask) and covered_by(ask, asked)


def covered_by(ask: frozenset[Use], asked: frozenset[Use]) -> bool:
    """Tell whether everything in an ask was part of what was asked."""
    return all(any(covers(use, new) for use in asked) for new in ask)


def settled(
    asks: frozenset[Use], ask: frozenset[Use], standing: Sequence[Decision]
) -> Settled | None:
    """Name what became of a choice notice's question, had nothing superseded it. RULES 12."""
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
    """One question of a mail or page: all that share a use and a recipient. RULES 8."""

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
    """Return the standing refusals that a question is broader than. RULES 7."""
    return frozenset(
        decision.use
        for decision in standing
        if decision.event_state in NO and any(meet(decision.use, use) for use in question.uses)
    )
