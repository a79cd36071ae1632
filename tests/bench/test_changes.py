"""The cost of logging that an account changed, compared with the row marks used before the log."""

from __future__ import annotations

import time
from typing import Final, LiteralString

import psycopg

ACCOUNTS: Final = 50_000
_BATCH: Final = 1000
_ROUNDS: Final = 4
_FILL: Final[tuple[LiteralString, ...]] = (
    """INSERT INTO holdings (holdings_id, members, digest) OVERRIDING SYSTEM VALUE
       VALUES (1000000, '[["user", "v1"]]', sha256('bench'))""",
    """INSERT INTO accounts (property, account, email, address_hash, updated_at)
       SELECT 'shop.example', n, n || '@example.org', sha256(n::text::bytea), now()
       FROM generate_series(1, 50000) AS n""",
    # The former table: each row has the transaction of its last change, with an index.
    """CREATE TABLE marked (LIKE accounts INCLUDING ALL) WITH (fillfactor = 85)""",
    """ALTER TABLE marked ADD COLUMN changed xid8 NOT NULL DEFAULT pg_current_xact_id()""",
    """CREATE INDEX marked_changed ON marked (changed, account_key)""",
    """INSERT INTO marked (account_key, property, account, email, address_hash, updated_at)
       OVERRIDING SYSTEM VALUE
       SELECT account_key, property, account, email, address_hash, updated_at FROM accounts""",
)
_STATEMENTS: Final[dict[str, LiteralString]] = {
    "holdings, marked": """
        UPDATE marked SET holdings_id = 1000000 - holdings_id, changed = pg_current_xact_id()
        WHERE account_key = ANY(%(keys)s)""",
    "holdings, logged": """
        WITH written AS (
            UPDATE accounts SET holdings_id = 1000000 - holdings_id
            WHERE account_key = ANY(%(keys)s) RETURNING account_key)
        INSERT INTO changes (account_key, stream) SELECT account_key, 'accounts' FROM written""",
    "mark alone, marked": """
        UPDATE marked SET changed = pg_current_xact_id() WHERE account_key = ANY(%(keys)s)""",
    "mark alone, logged": """
        INSERT INTO changes (account_key, stream)
        SELECT unnest(%(keys)s::bigint[]), 'accounts'""",
}


def test_changes(conninfo: str) -> None:
    """Print microseconds per account, and the ratio to the former design."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in _FILL:
            connection.execute(statement)
        connection.execute("VACUUM ANALYZE")
        spent = {
            name: _microseconds(connection, statement) for name, statement in _STATEMENTS.items()
        }
    print()
    for what in ("holdings", "mark alone"):
        before, now = spent[f"{what}, marked"], spent[f"{what}, logged"]
        print(
            f"{what:<12} before {before:6.1f} µs, now {now:6.1f} µs per account, "
            f"ratio {now / before:.2f}"
        )


def _microseconds(connection: psycopg.Connection, statement: LiteralString) -> float:
    """Return a statement's time per account, over all accounts several times."""
    keys = [
        key
        for (key,) in connection.execute("SELECT account_key FROM accounts ORDER BY md5(account)")
    ]
    start = time.perf_counter()
    for _ in range(_ROUNDS):
        for first in range(0, len(keys), _BATCH):
            connection.execute(statement, {"keys": keys[first : first + _BATCH]})
    return (time.perf_counter() - start) / len(keys) / _ROUNDS * 1e6
