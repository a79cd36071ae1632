"""What a policy's latest version ends for data already held, and what goes on. RULES 11, 22."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.domain.use import narrower

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconsent.domain.policy import Policy, PolicyVersion
    from reconsent.domain.use import Declared, Held


def uses_end(policy: Policy, held: Iterable[Held]) -> bool:
    """Tell whether a use of held data by the company ends when the latest version takes effect.

    What was declared for the previous controller is no permission for another one.
    """
    latest = policy.latest
    before = policy.followed_by(latest)
    if before is None or before.controller == latest.controller:
        return False
    return any(
        use.recipient == before.controller
        and not version.declares_use(category, use.data_use, latest.controller)
        for version, category, use in _declared(policy, held)
    )


def uses_go_on(policy: Policy, held: Iterable[Held]) -> bool:
    """Tell whether a use that the latest version drops goes on for held data.

    That of a company that was responsible is for `uses_end` to tell.
    """
    latest = policy.latest
    before = policy.followed_by(latest)
    if before is None:
        return False
    changed = before.controller != latest.controller
    gone = set(before.controllers) - {latest.controller} if changed else set[str]()
    return any(
        use.recipient not in gone
        and before.declares_use(category, use.data_use, use.recipient)
        and not latest.declares_use(category, use.data_use, use.recipient)
        for _, category, use in _declared(policy, held)
    )


def _declared(
    policy: Policy, held: Iterable[Held]
) -> Iterator[tuple[PolicyVersion, str, Declared]]:
    """Yield what the data's own versions declare, for the part of it that is held."""
    for pair in held:
        version = policy.by_name.get(pair.collected_under or "")
        if version is None:
            continue
        for use in version.declared:
            category = narrower(pair.data_category, use.data_category)
            if category is not None:
                yield version, category, use
