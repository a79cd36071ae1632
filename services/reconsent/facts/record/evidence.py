"""What proves a choice, beside the ledger: a deletion erases it. RULES 17, 28."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.store.postgres import Connection

SQL = named("record/evidence")


def add_evidence(connection: Connection, kept: Sequence[tuple[int, int, Any]]) -> None:
    """Keep the evidence of new ledger entries, given by the account's key and the number."""
    if kept:
        keys, entries, evidence = zip(*kept, strict=True)
        columns = {
            "keys": sorted(set(keys)),
            "account_key": list(keys),
            "entry": list(entries),
            "evidence": [Jsonb(one) for one in evidence],
        }
        connection.execute(SQL["add"], columns)


def forget_evidence(connection: Connection, keys: Sequence[int]) -> None:
    """Erase what proves decisions that count from before their accounts' deletions."""
    if keys:
        connection.execute(SQL["forget"], {"keys": list(keys)})
