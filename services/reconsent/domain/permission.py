"""May this data be used? RULES 20 to 26: the first line that applies answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from reconsent.domain.consent import NO, Decision, EventState
from reconsent.domain.use import Use, covers, meet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from reconsent.domain.account import Standing
    from reconsent.domain.policy import Policy

Reason = Literal[
    "declared",
    "consented",
    "not_effective_yet",
    "pending",
    "refused",
    "withdrawn",
    "expired",
    "suppressed",
    "undeclared",
    "unknown_version",
    "account_deleted",
    "unknown_account",
]


@dataclass(frozen=True, kw_only=True)
class Permission:
    """An answer with its reason, the rule that gave it, and the decision it rests on."""

    allowed: bool
    reason: Reason
    rule: int
    suppression: str | None = None
    decision: Decision | None = None
    version: str | None = None


def permit(account: Standing | None, policy: Policy | None, use: Use, at: datetime) -> Permission:
    """Answer whether an account's data may be put to a use at a time, and why."""
    if account is None:
        return Permission(allowed=False, reason="unknown_account", rule=20)
    if account.status == "deleted":
        return Permission(allowed=False, reason="account_deleted", rule=20)
    if account.minor:
        return Permission(allowed=False, reason="suppressed", suppression="minor", rule=20)
    if policy is None:
        return Permission(allowed=False, reason="undeclared", rule=20)
    collected_under = policy.by_name.get(use.collected_under or "")
    if use.collected_under is not None and collected_under is None:
        return Permission(allowed=False, reason="unknown_version", rule=20)
    refusals = list(_refusals(account.decisions, use))
    if refusals:
        withdrawn = [d for d in refusals if d.event_state == EventState.WITHDRAWN]
        return Permission(
            allowed=False,
            reason="withdrawn" if withdrawn else "refused",
            rule=21,
            decision=(withdrawn or refusals)[0],
        )
    wanted = (use.data_category, use.data_use, use.recipient)
    if collected_under and collected_under.declares_use(*wanted):
        return Permission(allowed=True, reason="declared", rule=22, version=collected_under.version)
    if account.status == "deactivated" or account.contact == "none":
        why = "deactivated" if account.status == "deactivated" else "all_comms_opt_out"
        return Permission(allowed=False, reason="suppressed", suppression=why, rule=23)
    return _by_decision(account.decisions, policy, use, at)


def _refusals(decisions: Sequence[Decision], use: Use) -> Iterator[Decision]:
    """Yield each standing no that meets the use and that no later yes outweighs there."""
    for position, decision in enumerate(decisions):
        common = meet(decision.use, use) if decision.event_state in NO else None
        if common and not any(
            later.event_state == EventState.GIVEN and covers(later.use, common)
            for later in decisions[position + 1 :]
        ):
            yield decision


def _by_decision(
    decisions: Sequence[Decision], policy: Policy, use: Use, at: datetime
) -> Permission:
    wanted = (use.data_category, use.data_use, use.recipient)
    covering = {d.event_state: d for d in decisions if covers(d.use, use)}
    if given := covering.get(EventState.GIVEN):
        declaring = [v for v in policy.versions if v.declares_use(*wanted)]
        if not declaring:
            return Permission(allowed=False, reason="undeclared", rule=24, decision=given)
        first = min(declaring, key=lambda version: version.effective_at)
        effective = first.effective_at <= at
        return Permission(
            allowed=effective,
            reason="consented" if effective else "not_effective_yet",
            rule=24,
            decision=given,
            version=first.version,
        )
    if expired := covering.get(EventState.EXPIRED):
        return Permission(allowed=False, reason="expired", rule=25, decision=expired)
    pending = policy.latest.declares_use(*wanted)
    return Permission(
        allowed=False,
        reason="pending" if pending else "undeclared",
        rule=26,
        version=policy.latest.version if pending else None,
    )
