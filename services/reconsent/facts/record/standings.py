"""Updating the holdings and the standing that accounts refer to. RULES 17, 18."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconsent.domain.consent import standing
from reconsent.facts.ledgers import read_ledgers
from reconsent.facts.sets import make_sets
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("record/standings")


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
