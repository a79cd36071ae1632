"""The cost of logging that an account changed, compared with the row marks used before the log."""

from __future__ import annotations

import time
from typing import Final, LiteralString

import psycopg

ACCOUNTS: Final = 50_000
_BATCH: Final = 1000
_ROUNDS: Final = 4
_FILL: Final[tuple[LiteralString, ...]] = (
    """INSERT INTO accounts (bucket, account_key, property, account, email, address_hash,
                             updated_at)
       SELECT bucket, n << 6 | bucket, 'shop.example', n, n || '@example.org',
              sha256(n::text::bytea), now()
       FROM generate_series(1, 50000::bigint) AS n
       CROSS JOIN LATERAL bucket_of_name('shop.example', n::text) AS bucket""",
    """INSERT INTO account_sets (bucket, account_key) SELECT bucket, account_key FROM accounts""",
    # The former table: each row has its sets and the transaction of its last change, with an index.
    """CREATE TABLE marked (LIKE accounts INCLUDING ALL) WITH (fillfactor = 85)""",
    """ALTER TABLE marked ADD COLUMN holdings_id integer NOT NULL DEFAULT 0,
       ADD COLUMN standing_id integer NOT NULL DEFAULT 0,
       ADD COLUMN changed xid8 NOT NULL DEFAULT pg_current_xact_id()""",
    """CREATE UNIQUE INDEX marked_key ON marked (account_key)""",
    """CREATE INDEX marked_changed ON marked (changed, account_key)""",
    """INSERT INTO marked (bucket, account_key, property, account, email, address_hash, updated_at)
       SELECT bucket, account_key, property, account, email, address_hash, updated_at
       FROM accounts""",
)
_STATEMENTS: Final[dict[str, LiteralString]] = {
    "holdings, marked": """
        UPDATE marked SET holdings_id = 1000000 - holdings_id, changed = pg_current_xact_id()
        WHERE account_key = ANY(%(keys)s)""",
    "holdings, logged": """
        WITH written AS (
            UPDATE account_sets SET holdings_id = 1000000 - holdings_id
            FROM listed(%(keys)s::bigint[])
            WHERE account_sets.bucket = listed.bucket
              AND account_sets.account_key = listed.account_key
            RETURNING account_sets.bucket, account_sets.account_key)
        INSERT INTO changes (bucket, account_key, stream)
        SELECT bucket, account_key, 'accounts' FROM written""",
    "mark alone, marked": """
        UPDATE marked SET changed = pg_current_xact_id() WHERE account_key = ANY(%(keys)s)""",
    "mark alone, logged": """
        INSERT INTO changes (bucket, account_key, stream)
        SELECT bucket, account_key, 'accounts' FROM listed(%(keys)s::bigint[])""",
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
