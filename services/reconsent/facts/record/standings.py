"""Updating the holdings and the standing that accounts refer to. RULES 17, 18."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from reconsent.domain.consent import standing
from reconsent.facts.ledgers import read_ledgers
from reconsent.facts.sets import make_sets
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

    _Kind = tuple[int, frozenset[tuple[str, str | None]]]

SQL = named("record/standings")


Added = tuple[int, str, str | None]
"""A collection that was added: the account's key, the data category and the version."""


class _Set(NamedTuple):
    holdings_id: int
    members: list[list[str | None]]


def refresh_standings(connection: Connection, keys: Sequence[int], policies: Policies) -> None:
    """Derive accounts' standing decisions again, and store them."""
    found = {
        key: json.dumps([[d.event_state.value, *d.use] for d in standing(ledger)])
        for key, ledger in read_ledgers(connection, keys, policies).items()
    }
    if not found:
        return
    make_sets(connection, "standings", sorted(set(found.values())))
    connection.execute(
        SQL["point_to_standings"], {"keys": list(found), "members": list(found.values())}
    )


def refresh_holdings(connection: Connection, keys: Sequence[int], policies: Policies) -> None:
    """Derive accounts' holdings again, and the standing that depends on them."""
    if not keys:
        return
    found = {"keys": sorted(set(keys))}
    connection.execute(SQL["make_holdings"], found)
    connection.execute(SQL["point_to_holdings"], found)
    # An agreement that names no category or version covers the data held when it was given.
    refresh_standings(connection, found["keys"], policies)


def add_to_holdings(connection: Connection, added: Sequence[Added], policies: Policies) -> None:
    """Add to the holdings of accounts that were never deleted, and update their standing.

    What is held now is worked out once for all accounts that held the same and got the same.
    """
    if not added:
        return
    pairs: dict[int, set[tuple[str, str | None]]] = {}
    for key, category, version in added:
        pairs.setdefault(key, set()).add((category, version))
    held = connection.execute(SQL["holdings_of"], {"keys": _array(pairs)}).fetchall()
    kinds: dict[int, _Kind] = {key: (before, frozenset(pairs[key])) for key, before, _ in held}
    made = _made(connection, set(kinds.values()))
    connection.execute(
        SQL["point_to_made"],
        {"keys": _array(kinds), "holdings": _array(made[kind] for kind in kinds.values())},
    )
    refresh_standings(connection, [key for key, _, has_decided in held if has_decided], policies)


def _array(numbers: Iterable[int]) -> str:
    """Write an array of numbers as text, which takes a fraction of the time of a list."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _made(connection: Connection, kinds: Iterable[_Kind]) -> dict[_Kind, int]:
    """Return the id of the set that each kind of account holds now, adding new sets."""
    ids = sorted({before for before, _ in kinds})
    sets = {
        row.holdings_id: {(category, version) for category, version in row.members}
        for row in all_rows(connection, _Set, SQL["holdings"], {"ids": ids})
    }
    members = {kind: _members(sets.get(kind[0], set()) | kind[1]) for kind in kinds}
    make_sets(connection, "holdings", sorted(set(members.values())))
    texts = list(members.values())
    return dict(zip(members, values(connection, SQL["ids"], {"members": texts}), strict=True))


def _members(pairs: Iterable[tuple[str | None, str | None]]) -> str:
    """Write a set of holdings as `collected_sets` does."""
    return json.dumps(sorted(pairs, key=lambda pair: (pair[0], pair[1] is not None, pair[1])))
