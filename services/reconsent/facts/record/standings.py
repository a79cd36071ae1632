"""What stands for accounts, found from their ledgers and from what they hold. RULES 17, 18."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconsent.domain.consent import Decision, EventState, Ledger, Said, standing
from reconsent.domain.use import Held, Use
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("record/standings")
LEDGERS = named("ledgers")


def ledgers(connection: Connection, keys: Sequence[int], policies: Policies) -> dict[int, Ledger]:
    """Read the ledgers of those of some accounts that said anything."""
    found = {"keys": list(keys)}
    owners = connection.execute(LEDGERS["owners"], found).fetchall()
    if not owners:
        return {}
    said: dict[int, list[Said]] = {}
    for key, answer, category, version, use, recipient, at, _ in connection.execute(
        LEDGERS["ledgers"], found
    ):
        said.setdefault(key, []).append(Said(answer, Use(category, version, use, recipient), at))
    first: dict[int, dict[Held, datetime]] = {}
    for key, category, version, at in connection.execute(LEDGERS["first"], found):
        first.setdefault(key, {})[Held(category, version)] = at
    return {
        key: Ledger(
            said=said[key],
            first_collected=first.get(key, {}),
            deleted_at=deleted_at,
            controller=_controller(property_name, policies),
        )
        for key, property_name, deleted_at in owners
    }


def _controller(property_name: str, policies: Policies) -> Callable[[datetime], str | None]:
    policy = policies.of_property(property_name)
    return lambda at: policy.in_force(at).controller if policy else None


def refresh_standings(connection: Connection, keys: Sequence[int], policies: Policies) -> None:
    """Point accounts to the decisions that now stand for them."""
    found = {
        key: json.dumps([[d.event_state.value, *d.use] for d in standing(ledger)])
        for key, ledger in ledgers(connection, keys, policies).items()
    }
    if not found:
        return
    connection.execute(SQL["make_standings"], {"members": sorted(set(found.values()))})
    connection.execute(
        SQL["point_to_standings"], {"keys": list(found), "members": list(found.values())}
    )


def refresh_holdings(connection: Connection, keys: Sequence[int], policies: Policies) -> None:
    """Point accounts to what they hold now, and to what their decisions then come to."""
    if not keys:
        return
    found = {"keys": sorted(set(keys))}
    connection.execute(SQL["make_holdings"], found)
    connection.execute(SQL["point_to_holdings"], found)
    # An agreement that names no category or version covers the data held when it was given.
    refresh_standings(connection, found["keys"], policies)


def held(members: Iterable[Sequence[Any]]) -> tuple[Held, ...]:
    """Read a set of holdings as it is stored."""
    return tuple(Held(*member) for member in members)


def decisions(members: Iterable[Sequence[Any]]) -> tuple[Decision, ...]:
    """Read a set of standing decisions as it is stored."""
    return tuple(Decision(EventState(state), Use(*use)) for state, *use in members)


def uses(members: Iterable[Sequence[Any]]) -> frozenset[Use]:
    """Read an ask as it is stored."""
    return frozenset(Use(*member) for member in members)
