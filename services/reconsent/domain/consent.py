"""Decisions: what people said, and what applies now. RULES 17 to 19.

The ledger keeps what was said (`Entry`). `spell_out` turns it into decisions about data held, and
`standing` into the few that apply now, in a form that accounts can share.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from reconsent.domain.use import ANY, Held, Use, broadest, covers, meet, narrower, sort_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

Answer = Literal["allow", "deny", "expired"]


class EventState(StrEnum):
    """What became of a decision, in the terms of the W3C Data Privacy Vocabulary."""

    GIVEN = "ConsentGiven"
    REFUSED = "ConsentRefused"
    WITHDRAWN = "ConsentWithdrawn"
    EXPIRED = "ConsentExpired"
    INVALIDATED = "ConsentInvalidated"


NO: Final = frozenset({EventState.REFUSED, EventState.WITHDRAWN})


class Entry(NamedTuple):
    """One ledger entry as the person gave it; ANY for whatever was left out."""

    answer: Answer
    use: Use
    decided_at: datetime


class Decision(NamedTuple):
    """One standing decision, without its time."""

    event_state: EventState
    use: Use


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """One account's ledger entries, and what is needed to derive its standing decisions.

    `first_collected` gives, for each pair held, its first collection since an erasure;
    `controller` returns the controller in force at a time, None if no version is published.
    """

    entries: Sequence[Entry]
    first_collected: Mapping[Held, datetime]
    deleted_at: datetime | None
    controller: Callable[[datetime], str | None]

    def stands(self, entry: Entry) -> bool:
        """Tell whether an entry is dated after the account's latest deletion."""
        return self.deleted_at is None or entry.decided_at > self.deleted_at


def spell_out(entry: Entry, ledger: Ledger) -> Iterable[Use]:
    """Yield every use that an answer is about. RULES 17.

    In a refusal, whatever is left out means any. An agreement covers only what it names, and only
    data already collected when it was given.
    """
    if entry.answer != "allow":
        yield entry.use
        return
    recipient: str | None = entry.use.recipient
    if recipient == ANY:
        recipient = ledger.controller(entry.decided_at)
    if recipient is None:
        return
    if ANY not in entry.use[:2]:
        yield entry.use._replace(recipient=recipient)
        return
    for held, first in ledger.first_collected.items():
        category = narrower(held.data_category, entry.use.data_category)
        if (
            first <= entry.decided_at
            and category is not None
            and entry.use.collected_under in (held.collected_under, ANY)
        ):
            yield Use(category, held.collected_under, entry.use.data_use, recipient)


def event_states(ledger: Ledger) -> list[EventState]:
    """Return what became of each ledger entry, in the ledger's order. RULES 18."""
    agreed = [
        (entry.decided_at, use)
        for entry in ledger.entries
        if entry.answer == "allow" and ledger.stands(entry)
        for use in spell_out(entry, ledger)
    ]
    return [_event_state(entry, ledger, agreed) for entry in ledger.entries]


def _event_state(
    entry: Entry, ledger: Ledger, agreed: Sequence[tuple[datetime, Use]]
) -> EventState:
    if not ledger.stands(entry):
        return EventState.INVALIDATED
    if entry.answer == "allow":
        return EventState.GIVEN
    if entry.answer == "expired":
        return EventState.EXPIRED
    took_back = any(at < entry.decided_at and meet(use, entry.use) for at, use in agreed)
    return EventState.WITHDRAWN if took_back else EventState.REFUSED


def standing(ledger: Ledger) -> tuple[Decision, ...]:
    """Return the standing decisions in a canonical order, so that accounts share them. RULES 18."""
    dated = [
        (entry, Decision(state, use))
        for entry, state in zip(ledger.entries, event_states(ledger), strict=True)
        if state != EventState.INVALIDATED
        for use in spell_out(entry, ledger)
    ]
    dated.sort(key=_in_time)
    in_order = [decision for _, decision in dated]
    return _shared_order(
        [
            decision
            for position, decision in enumerate(in_order)
            if not any(covers(later.use, decision.use) for later in in_order[position + 1 :])
        ]
    )


def _in_time(
    dated: tuple[Entry, Decision],
) -> tuple[tuple[bool, datetime, bool], int, tuple[str, ...]]:
    """Sort by weight; of the same weight the broader use is last and replaces those it covers."""
    entry, decision = dated
    return _weight(entry), -_parts(decision.use), _key(decision)


def _weight(entry: Entry) -> tuple[bool, datetime, bool]:
    """Sort by time: expiry before any answer; at equal times, yes before no."""
    return entry.answer != "expired", entry.decided_at, entry.answer == "deny"


def _parts(use: Use) -> int:
    """Count the key parts that a use names; a use that covers another names fewer."""
    return sum(0 if name == ANY else 1 + (name or "").count(".") for name in use)


def _key(decision: Decision) -> tuple[str, ...]:
    return (decision.event_state.value, *sort_key(decision.use))


def _shared_order(in_time: Sequence[Decision]) -> tuple[Decision, ...]:
    """Sort decisions canonically; only a yes and a no that meet keep their order in time."""
    followers: dict[int, list[int]] = {}
    waits = [0] * len(in_time)
    for later, decision in enumerate(in_time):
        for earlier in range(later):
            if _must_keep_order(in_time[earlier], decision):
                followers.setdefault(earlier, []).append(later)
                waits[later] += 1
    ready = [(_key(d), i) for i, d in enumerate(in_time) if not waits[i]]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, position = heapq.heappop(ready)
        ordered.append(in_time[position])
        for later in followers.get(position, ()):
            waits[later] -= 1
            if not waits[later]:
                heapq.heappush(ready, (_key(in_time[later]), later))
    return tuple(ordered)


def _must_keep_order(one: Decision, other: Decision) -> bool:
    states = {one.event_state, other.event_state}
    return EventState.GIVEN in states and bool(states & NO) and meet(one.use, other.use) is not None


def last_answer(ledger: Ledger, uses: Sequence[Use]) -> Entry | None:
    """Return the last entry that decided one of some uses, in the order of `standing`."""
    about = [
        entry
        for entry in ledger.entries
        if ledger.stands(entry)
        and any(covers(named, use) for named in spell_out(entry, ledger) for use in uses)
    ]
    return max(about, key=_weight, default=None)


def last_other(entries: Sequence[Entry], said: AbstractSet[tuple[Answer, Use]], use: Use) -> int:
    """Return the place of the last entry that says about a use what was not `said`, else 0."""
    return max(
        (
            position
            for position, entry in enumerate(entries, start=1)
            if (entry.answer, entry.use) not in said and meet(entry.use, use)
        ),
        default=0,
    )


def refusals(standing: Sequence[Decision], use: Use) -> Iterator[Decision]:
    """Yield each refusal that meets a use and that no later yes overrides. RULES 21."""
    for position, decision in enumerate(standing):
        common = meet(decision.use, use) if decision.event_state in NO else None
        if common and not any(
            later.event_state == EventState.GIVEN and covers(later.use, common)
            for later in standing[position + 1 :]
        ):
            yield decision


def answerable_again(asked: frozenset[Use], standing: Sequence[Decision]) -> frozenset[Use]:
    """Return what was decided of what was asked, and all that was agreed to; only the broadest."""
    agreed = {decision.use for decision in standing if decision.event_state == EventState.GIVEN}
    return broadest(asked - undecided(asked, standing) | agreed)


def undecided(uses: Iterable[Use], standing: Sequence[Decision]) -> frozenset[Use]:
    """Return the new uses that no standing decision covers: the account's ask. RULES 7."""
    return frozenset(
        use for use in uses if not any(covers(decision.use, use) for decision in standing)
    )
