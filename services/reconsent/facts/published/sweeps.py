"""Sweeps: a topic goes through all accounts of a policy once after a version of it was published.

A relay that starts to follow the log goes through all accounts there are, which serves all versions
published by then. It does so again after a restore.

Planning a version does not log its notices: the topic of notices follows behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from reconsent.facts.slices import next_slice
from reconsent.store.named import named
from reconsent.store.rows import values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.facts.slices import Slice
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("published/sweeps")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The next accounts, and how far a topic will have come with them.

    They are those of a version's policy or, without a version, of all properties.
    """

    version_id: int | None
    keys: Sequence[int]
    account_key: int
    done: bool


@dataclass(frozen=True, kw_only=True)
class _Unswept:
    """A version, how far a topic came, and how far it may go for now (None: to the end)."""

    version_id: int
    account_key: int
    planned_to: int | None


def begin_full_sweep(connection: Connection, topic: str) -> None:
    """Let a topic go through all accounts, from the first."""
    connection.execute(SQL["begin_full"], {"topic": topic})
    connection.execute(SQL["replace_by_full"], {"topic": topic})


def next_sweep(
    connection: Connection,
    topic: str,
    policies: Policies,
    limit: int,
    *,
    versions: bool,
    awaits_planning: bool,
) -> Sweep | None:
    """Return the next accounts that a topic has to go through; None where there are none.

    `versions` tells whether the topic goes through the accounts of newly published versions,
    `awaits_planning` whether it does so behind their planning.
    """
    reached = values(connection, SQL["full"], {"topic": topic})
    if reached:
        return _next_of_all(connection, reached[0], limit)
    if not versions:
        return None
    return _next_of_version(connection, topic, policies, limit, awaits_planning=awaits_planning)


def _next_of_all(connection: Connection, after: int, limit: int) -> Sweep:
    return _sweep(None, next_slice(connection, after=after, limit=limit))


def _sweep(version_id: int | None, part: Slice | None) -> Sweep:
    if part is None:
        return Sweep(version_id=version_id, keys=(), account_key=0, done=True)
    return Sweep(version_id=version_id, keys=part.keys, account_key=part.upto, done=False)


def _next_of_version(
    connection: Connection, topic: str, policies: Policies, limit: int, *, awaits_planning: bool
) -> Sweep | None:
    cursor = connection.cursor(row_factory=class_row(_Unswept))
    wanted = {
        "topic": topic,
        "latest": policies.latest_ids,
        "awaits_planning": awaits_planning,
    }
    found = cursor.execute(SQL["unswept"], wanted).fetchone()
    if found is None:
        return None
    properties = policies.properties(policies.versions[found.version_id].policy)
    part = next_slice(connection, after=found.account_key, limit=limit, properties=properties)
    if found.planned_to is None:
        return _sweep(found.version_id, part)
    upto = min(part.upto, found.planned_to) if part else found.planned_to
    keys = [key for key in part.keys if key <= upto] if part else []
    return Sweep(version_id=found.version_id, keys=keys, account_key=upto, done=False)


def note_sweep(connection: Connection, topic: str, sweep: Sweep) -> None:
    """Record how far a topic came."""
    if sweep.version_id is None:
        query = SQL["end_full"] if sweep.done else SQL["note_full"]
        connection.execute(query, {"topic": topic, "account_key": sweep.account_key})
        return
    reached = {
        "topic": topic,
        "version_id": sweep.version_id,
        "account_key": sweep.account_key,
        "done": sweep.done,
    }
    connection.execute(SQL["note"], reached)
