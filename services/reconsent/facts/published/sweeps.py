"""Going through all accounts of a policy once, after a version of it was published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from reconsent.facts.slices import next_accounts
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("published/sweeps")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The next accounts of a version's policy, and how far a topic will have come with them."""

    version_id: int
    keys: Sequence[int]
    account_key: int
    done: bool


@dataclass(frozen=True, kw_only=True)
class _Unswept:
    version_id: int
    account_key: int


def next_sweep(connection: Connection, topic: str, policies: Policies, limit: int) -> Sweep | None:
    """Return the next accounts that a topic has to go through; None where there are none."""
    cursor = connection.cursor(row_factory=class_row(_Unswept))
    wanted = {"topic": topic, "latest": policies.latest_ids}
    found = cursor.execute(SQL["unswept"], wanted).fetchone()
    if found is None:
        return None
    properties = policies.properties(policies.versions[found.version_id].policy)
    keys = next_accounts(connection, properties, after=found.account_key, limit=limit)
    return Sweep(
        version_id=found.version_id,
        keys=keys,
        account_key=max(keys, default=found.account_key),
        done=len(keys) < limit,
    )


def note_sweep(connection: Connection, topic: str, sweep: Sweep) -> None:
    """Note how far a topic came."""
    reached = {
        "topic": topic,
        "version_id": sweep.version_id,
        "account_key": sweep.account_key,
        "done": sweep.done,
    }
    connection.execute(SQL["note"], reached)
