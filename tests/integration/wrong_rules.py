"""For each rule one or more that are deliberately wrong (test_wrong_rules.py)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import uuid4

from reconsent.domain import (
    account,
    consent,
    event_hash,
    mail_report,
    notice,
    permission,
    policy,
    received,
    use,
)
from reconsent.domain.account import PermissionSubject, Profile
from reconsent.domain.consent import NO, Entry, EventState, Ledger
from reconsent.domain.permission import END_OF_TIME, Permission
from reconsent.domain.policy import Policy, PolicyVersion
from reconsent.domain.use import ANY, Declared, Held, Use
from reconsent.facts.record import asking_again as asking_at_once
from reconsent.facts.record import mailbox_reports, marks, unsubscribes
from reconsent.facts.sending import asking_again, claims, due_by_time
from reconsent.facts.versions import Policies


class Wrong(NamedTuple):
    """A rule that is wrong: what is put in whose place."""

    rule: int
    how: str
    right: Any
    wrong: Any
    only_in: str = "reconsent"


def _any_policy(policies: Policies, _: str) -> Policy | None:
    return next(iter(policies.by_name.values()), None)


def _listed_only(version: PolicyVersion) -> frozenset[Declared]:
    return frozenset(
        Declared(row.data, data_use, recipient)
        for row in version.declares
        for data_use in row.uses
        for recipient in row.recipients or (version.controller,)
    )


def _covers_parents(one: Use, other: Use) -> bool:
    """Return whether the other is a child, or a parent."""
    return use.meet(one, other) is not None


def _unpublished_is_unknown(line: Policy, held: Held) -> Iterable[Use]:
    known = held.collected_under in line.by_name
    found = RIGHT_NEW_USES(line, held if known else held._replace(collected_under=None))
    return [one._replace(collected_under=held.collected_under) for one in found]


def _equal_categories(line: Policy, held: Held) -> Iterable[Use]:
    return [one for one in RIGHT_NEW_USES(line, held) if one.data_category == held.data_category]


def _silence_asks_again(uses: Iterable[Use], standing: Sequence[Any]) -> frozenset[Use]:
    said = [decision for decision in standing if decision.event_state != EventState.EXPIRED]
    return RIGHT_UNDECIDED(uses, said)


def _first_only(question: notice.Question) -> tuple[Use, ...]:
    return (Use(*question.concerns[0], question.data_use, question.recipient),)


def _address_first(
    kind: notice.Kind, reach: notice.Reach, *, cancelled: bool = False
) -> str | None:
    if reach.address == "none" and reach.status != "deleted":
        return "no_address"
    return RIGHT_SUPPRESSION(kind, reach, cancelled=cancelled)


def _closed_by_one_answer(
    asks: frozenset[Use], ask: frozenset[Use], standing: Sequence[Any]
) -> object:
    return None if asks <= ask else RIGHT_SETTLED(asks, ask - asks, standing)


def _silence_at_once(question: Any, *more: Any) -> Any:  # noqa: ANN401 -- private
    return replace(RIGHT_SILENCE(question, *more), decided_at=question.accepted_at)


def _later_data_too(entry: Entry, ledger: Ledger) -> Iterable[Use]:
    always = dict.fromkeys(ledger.first_collected, entry.decided_at)
    return RIGHT_SPELL_OUT(entry, replace(ledger, first_collected=always))


def _yes_wins(entry: Entry) -> tuple[bool, datetime, bool]:
    return entry.answer != "expired", entry.decided_at, entry.answer == "allow"


def _any_version(one: Use, other: Use) -> bool:
    return RIGHT_COVERS(one._replace(collected_under=ANY), other)


def _minors_count(
    who: PermissionSubject | None, line: Policy | None, wanted: Use, at: datetime
) -> Permission:
    return RIGHT_PERMIT(replace(who, minor=False) if who else None, line, wanted, at)


def _dropped_ends(
    who: PermissionSubject | None, line: Policy | None, wanted: Use, at: datetime
) -> Permission:
    found = RIGHT_PERMIT(who, line, wanted, at)
    of_use = (wanted.data_category, wanted.data_use, wanted.recipient)
    ends = found.reason == "declared" and line and not line.latest.declares_use(*of_use)
    return replace(found, allowed=False, reason="undeclared") if ends else found


def _declared_outranks_no(
    who: PermissionSubject | None, line: Policy | None, wanted: Use, at: datetime
) -> Permission:
    found = RIGHT_PERMIT(who, line, wanted, at)
    if who is None or found.rule != 21:
        return found
    willing = [one for one in who.decisions if one.event_state not in NO]
    without = RIGHT_PERMIT(replace(who, decisions=willing), line, wanted, at)
    return without if without.reason == "declared" else found


def _opted_out_ends_all(
    who: PermissionSubject | None, line: Policy | None, wanted: Use, at: datetime
) -> Permission:
    found = RIGHT_PERMIT(who, line, wanted, at)
    ends = who and found.reason == "declared" and who.opted_out
    return replace(found, allowed=False, reason="suppressed") if ends else found


def _a_yes_outlasts_leaving(
    who: PermissionSubject | None, line: Policy | None, wanted: Use, at: datetime
) -> Permission:
    found = RIGHT_PERMIT(who, line, wanted, at)
    if who is None or found.rule != 23:
        return found
    return RIGHT_PERMIT(replace(who, status="active", contact="all"), line, wanted, at)


def _at_once(
    who: PermissionSubject | None, line: Policy | None, wanted: Use, _: datetime
) -> Permission:
    return RIGHT_PERMIT(who, line, wanted, END_OF_TIME)


def _silence_is_pending(
    who: PermissionSubject | None, line: Policy | None, wanted: Use, at: datetime
) -> Permission:
    found = RIGHT_PERMIT(who, line, wanted, at)
    return replace(found, reason="pending") if found.reason == "expired" else found


def _ever_declared(
    who: PermissionSubject | None, line: Policy | None, wanted: Use, at: datetime
) -> Permission:
    found = RIGHT_PERMIT(who, line, wanted, at)
    ever = line and line.first_declaring(wanted.data_category, wanted.data_use, wanted.recipient)
    return replace(found, reason="pending") if found.rule == 26 and ever else found


def _us_too(event: str, reason: str | None) -> object:
    return "bounced" if event in {"bounced", "dropped"} else RIGHT_MARK(event, reason)


def _lifted_by_people_only(connection: Any, lifts: Iterable[marks.Lifted]) -> int:  # noqa: ANN401
    return RIGHT_LIFT(connection, [one for one in lifts if one.reason != marks.DELIVERED])


def _first_of_equals(known: Profile, event: Profile) -> Profile:
    equal = known.updated_at is not None and known.updated_at == event.updated_at
    return known if equal else RIGHT_LATER(known, event)


def _first_deletion(known: Profile, event: Profile) -> Profile:
    after = RIGHT_MERGED(known, event)
    return replace(after, deleted_at=known.deleted_at or after.deleted_at)


_EARLIER: Final = re.compile(r"(\w*verified_at) >= .*")
RIGHT_NEW_USES: Final = Policy._new_uses  # noqa: SLF001 -- to put a wrong one in its place
RIGHT_UNDECIDED: Final = consent.undecided
RIGHT_SUPPRESSION: Final = notice.suppression
RIGHT_SETTLED: Final = notice.settled
RIGHT_SILENCE: Final = due_by_time._silence  # noqa: SLF001
RIGHT_SPELL_OUT: Final = consent.spell_out
RIGHT_COVERS: Final = use.covers
RIGHT_PERMIT: Final = permission.permit
RIGHT_MARK: Final = mail_report.mark_of
RIGHT_LIFT: Final = marks.lift
RIGHT_LATER: Final = account._later  # noqa: SLF001
RIGHT_MERGED: Final = account.merged

WRONG: Final = (
    Wrong(1, "any policy governs a property", (Policies, "of_property"), _any_policy),
    Wrong(2, "the controller does not use what it passes on", (PolicyVersion, "declared"),
          property(_listed_only)),
    Wrong(3, "a part covers the whole", RIGHT_COVERS, _covers_parents),
    Wrong(4, "a version that is not published is asked about", (Policy, "_new_uses"),
          _unpublished_is_unknown),
    Wrong(5, "only data of the very category is asked about", (Policy, "_new_uses"),
          _equal_categories),
    Wrong(6, "what another covers is asked as well", use.broadest, frozenset),
    Wrong(7, "silence is asked again", RIGHT_UNDECIDED, _silence_asks_again),
    Wrong(8, "an answer is for the first category only", (notice.Question, "uses"),
          property(_first_only)),
    Wrong(9, "no address comes before an opt-out", RIGHT_SUPPRESSION, _address_first),
    Wrong(10, "keeping longer is not material", policy.keeps_longer, lambda *_: False),
    Wrong(11, "a dropped use ends", RIGHT_PERMIT, _dropped_ends),
    Wrong(12, "one answer closes the whole notice", RIGHT_SETTLED, _closed_by_one_answer),
    Wrong(13, "what a mail did not ask is not asked later", notice.asks_already,
          lambda *_: True),
    Wrong(14, "nobody looks again at the claim", claims._second_look, lambda *_: None),  # noqa: SLF001
    Wrong(15, "a bounce marks nothing", mail_report.mark_of, lambda *_: None),
    Wrong(15, "what is passing, or speaks of us, marks a mailbox", RIGHT_MARK, _us_too),
    Wrong(15, "a delivery lifts no mark", RIGHT_LIFT, _lifted_by_people_only),
    Wrong(15, "an address verified before it was named lifts a mark", (marks, "_VERIFIED"),
          tuple(_EARLIER.sub(r"\1 IS NOT NULL", query) for query in marks._VERIFIED)),  # noqa: SLF001
    Wrong(15, "a mailbox is tried again after three days", (asking_again, "PATIENCE"),
          timedelta(days=3)),
    Wrong(15, "a mailbox is not tried again", asking_again.ask_again_after_a_while,
          lambda *_: False),
    Wrong(15, "a later delivery asks nothing again", asking_at_once.ask_again_after_delivery,
          lambda *_: None),
    Wrong(15, "a report by address is about no notice", mailbox_reports.accepted_for,
          lambda *_: []),
    Wrong(15, "who unsubscribed still gets information", unsubscribes.record_unsubscribes,
          lambda *_: None),
    Wrong(15, "an unsubscribe by address is nobody's", mailbox_reports.unsubscribe_by_address,
          lambda *_: None),
    Wrong(15, "an unsubscribe by address counts only for whom it finds",
          mailbox_reports.unsubscribe_by_address, lambda *_: None,
          "reconsent.facts.record.account_paths"),
    Wrong(15, "a repeat is sent though what it repeats has arrived", notice.asks_already,
          lambda *_: False, "reconsent.facts.sending"),
    Wrong(15, "an operator's or a person's lift asks nothing again",
          asking_at_once.ask_again_after_lifting, lambda *_: None),
    Wrong(16, "silence is dated when the mail was accepted", RIGHT_SILENCE, _silence_at_once),
    Wrong(17, "a yes covers data collected later", RIGHT_SPELL_OUT, _later_data_too),
    Wrong(18, "of equal times the yes is later", consent._weight, _yes_wins),  # noqa: SLF001
    Wrong(19, "a yes covers data of every version", RIGHT_COVERS, _any_version,
          "reconsent.domain.permission"),
    Wrong(20, "a minor's data may be used", RIGHT_PERMIT, _minors_count),
    Wrong(21, "what is declared outranks a no", RIGHT_PERMIT, _declared_outranks_no),
    Wrong(22, "who has opted out ends what was declared", RIGHT_PERMIT, _opted_out_ends_all),
    Wrong(23, "a yes counts for who has left", RIGHT_PERMIT, _a_yes_outlasts_leaving),
    Wrong(24, "a yes counts before the version does", RIGHT_PERMIT, _at_once),
    Wrong(25, "silence stays pending", RIGHT_PERMIT, _silence_is_pending),
    Wrong(26, "what was once declared is pending", RIGHT_PERMIT, _ever_declared),
    Wrong(27, "of equal times the first event counts", RIGHT_LATER, _first_of_equals),
    Wrong(27, "a clock that is ahead outranks others", received.is_ahead, lambda *_: False),
    Wrong(28, "only the first deletion counts", RIGHT_MERGED, _first_deletion),
    Wrong(29, "an event that comes again is another one", event_hash.hash_of_event,
          lambda *_: uuid4().bytes),
)  # fmt: skip
