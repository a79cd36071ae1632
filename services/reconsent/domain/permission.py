"""May this data be used? RULES 20 to 26: the first one that applies decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from reconsent.domain.consent import Decision, EventState, refusals
from reconsent.domain.use import Held, Use, covers, meet, narrower, sort_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconsent.domain.account import PermissionSubject
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


END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Permission:
    """An answer with its reason, the rule that gave it, and the decision it is based on."""

    allowed: bool
    reason: Reason
    rule: int
    suppression: str | None = None
    decision: Decision | None = None
    version: str | None = None


def permit(
    account: PermissionSubject | None, policy: Policy | None, use: Use, at: datetime
) -> Permission:
    """Tell whether an account's data may be put to a use at a time, and why."""
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
    refused = list(refusals(account.decisions, use))
    if refused:
        withdrawn = [d for d in refused if d.event_state == EventState.WITHDRAWN]
        return Permission(
            allowed=False,
            reason="withdrawn" if withdrawn else "refused",
            rule=21,
            decision=(withdrawn or refused)[0],
        )
    wanted = (use.data_category, use.data_use, use.recipient)
    if collected_under and collected_under.declares_use(*wanted):
        return Permission(allowed=True, reason="declared", rule=22, version=collected_under.version)
    if account.opted_out:
        return Permission(
            allowed=False, reason="suppressed", suppression=account.opted_out, rule=23
        )
    return _by_decision(account.decisions, policy, use, at)


def _by_decision(
    decisions: Sequence[Decision], policy: Policy, use: Use, at: datetime
) -> Permission:
    wanted = (use.data_category, use.data_use, use.recipient)
    covering = {d.event_state: d for d in decisions if covers(d.use, use)}
    if given := covering.get(EventState.GIVEN):
        first = policy.first_declaring(*wanted)
        if first is None:
            return Permission(allowed=False, reason="undeclared", rule=24, decision=given)
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


class Allowed(NamedTuple):
    """A use that is allowed, at the latest once the version it is based on is effective.

    Everything that it covers is allowed as well.
    """

    use: Use
    reason: Reason
    version: str


def allowed(account: PermissionSubject, policy: Policy | None, held: Held) -> tuple[Allowed, ...]:
    """List the allowed uses, now or later, of data of a category collected under a version.

    Of uses that cover one another and are based on the same version, only the broadest is listed.
    """
    found = []
    for use in sorted(set(_candidates(account.decisions, policy, held)), key=sort_key):
        permission = permit(account, policy, use, END_OF_TIME)
        if permission.allowed and permission.version is not None:
            found.append(Allowed(use, permission.reason, permission.version))
    return tuple(
        one
        for one in found
        if not any(
            other != one
            and covers(other.use, one.use)
            and (other.reason == "declared" or other.version == one.version)
            for other in found
        )
    )


def _candidates(decisions: Sequence[Decision], policy: Policy | None, held: Held) -> Iterable[Use]:
    """Yield the uses that may be allowed, and the parts where they overlap."""
    declared = {
        version.version: [
            Use(category, held.collected_under, row.data_use, row.recipient)
            for row in version.declared
            if (category := narrower(held.data_category, row.data_category))
        ]
        for version in (policy.versions if policy else ())
    }
    named = [use for uses in declared.values() for use in uses]
    given = [d.use for d in decisions if d.event_state == EventState.GIVEN]
    agreed = [use for yes in given for other in named if (use := meet(yes, other))]
    for use in [*declared.get(held.collected_under or "", ()), *agreed]:
        yield use
        yield from (part for other in [*named, *agreed] if (part := meet(use, other)))
