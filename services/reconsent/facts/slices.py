"""Iterating over the accounts that a policy governs, a slice at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.store.postgres import Connection

SQL = named("slices")


def next_accounts(
    connection: Connection, properties: Sequence[str], *, after: int, limit: int
) -> list[int]:
    """Return the keys of the next accounts of some properties, in order."""
    wanted = {"properties": properties, "after": after, "limit": limit}
    return [key for (key,) in connection.execute(SQL["next_accounts"], wanted)]
