"""The forms of statements that the program needs run on Citus, whichever node is asked.

Citus refuses many statements that PostgreSQL runs. These are the forms that both run.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, LiteralString

import psycopg
import pytest

from tests.citus.conftest import Nodes

# A lock that another node refuses is reported without the reason.
_REFUSED: Final = "could not obtain lock|failure on connection marked as essential"
# Each counts a row for every account that is named by two lists.
FORMS: Final[dict[str, LiteralString]] = {
    "join with a list": """
        SELECT count(*) FROM situations
        JOIN unnest(%(bucket)s::smallint[], %(account_key)s::bigint[]) AS n (bucket, account_key)
        USING (bucket, account_key)""",
    "in a list": """
        SELECT count(*) FROM accounts WHERE (bucket, account_key) IN (
            SELECT * FROM unnest(%(bucket)s::smallint[], %(account_key)s::bigint[]))""",
    "left join instead of NOT EXISTS": """
        SELECT count(*) FROM unnest(%(bucket)s::smallint[], %(account_key)s::bigint[])
               AS n (bucket, account_key)
        LEFT JOIN accounts USING (bucket, account_key) WHERE accounts.status IS NOT NULL""",
    "update, and log": """
        WITH written AS (
            UPDATE accounts SET status = 'deactivated'
            FROM unnest(%(bucket)s::smallint[], %(account_key)s::bigint[])
                 AS n (bucket, account_key)
            WHERE accounts.bucket = n.bucket AND accounts.account_key = n.account_key
            RETURNING accounts.bucket, accounts.account_key
        ), logged AS (
            INSERT INTO changes (bucket, account_key) SELECT bucket, account_key FROM written
        )
        SELECT count(*) FROM written""",
    "insert what is missing, and log": """
        WITH added AS (
            INSERT INTO collections
            SELECT bucket, account_key, 'user.name', NULL
            FROM unnest(%(bucket)s::smallint[], %(account_key)s::bigint[])
                 AS n (bucket, account_key)
            ON CONFLICT DO NOTHING RETURNING bucket, account_key
        ), logged AS (
            INSERT INTO changes (bucket, account_key) SELECT bucket, account_key FROM added
        )
        SELECT count(*) FROM added""",
    "several writes, and one log": """
        WITH ended AS (
            UPDATE notices SET state = 'superseded' FROM
                unnest(%(bucket)s::smallint[], %(account_key)s::bigint[]) AS n (bucket, account_key)
            WHERE notices.bucket = n.bucket AND notices.account_key = n.account_key
            RETURNING notices.bucket, notices.account_key
        ), added AS (
            INSERT INTO notices SELECT bucket, account_key, 2, 1, 'due'
            FROM accounts WHERE false RETURNING bucket, account_key
        ), logged AS (
            INSERT INTO changes (bucket, account_key)
            SELECT * FROM (TABLE ended UNION ALL TABLE added) AS written
            RETURNING account_key
        )
        SELECT count(*) FROM logged""",
    "delete by a list": """
        WITH gone AS (
            DELETE FROM collections
            USING unnest(%(bucket)s::smallint[], %(account_key)s::bigint[])
                  AS n (bucket, account_key)
            WHERE collections.bucket = n.bucket AND collections.account_key = n.account_key
            RETURNING collections.account_key
        )
        SELECT count(*) FROM gone""",
    "point to a shared set": """
        WITH written AS (
            UPDATE accounts SET holdings_id = 0
            FROM unnest(%(bucket)s::smallint[], %(account_key)s::bigint[])
                 AS n (bucket, account_key)
            LEFT JOIN collected_sets AS sets USING (bucket, account_key)
            JOIN holdings ON holdings.digest = sha256('[]')
            WHERE accounts.bucket = n.bucket AND accounts.account_key = n.account_key
            RETURNING accounts.account_key
        )
        SELECT count(*) FROM written""",
}


def some_accounts(nodes: Nodes, node: int) -> dict[str, Any]:
    """Return the keys of ten accounts in different buckets."""
    found = nodes[node].execute(
        "SELECT DISTINCT ON (bucket) bucket, account_key FROM accounts ORDER BY bucket LIMIT 10"
    )
    buckets, keys = zip(*found, strict=True)
    return {"bucket": list(buckets), "account_key": list(keys)}


@pytest.mark.parametrize("node", [0, 1])
@pytest.mark.parametrize("form", FORMS)
def test_a_form_runs_over_several_buckets(nodes: Nodes, node: int, form: str) -> None:
    """It finds or writes a row for each of ten accounts."""
    parameters = some_accounts(nodes, node)
    assert nodes[node].execute(FORMS[form], parameters).fetchone() == (10,)


@pytest.mark.parametrize("node", [0, 1])
def test_staged_rows_are_recorded(nodes: Nodes, node: int) -> None:
    """What a consumer does in one transaction: offset, staging, facts, then shared sets."""
    connection = nodes[node]
    connection.execute("UPDATE offsets SET next_offset = next_offset + 1")
    connection.execute(
        "CREATE TEMPORARY TABLE staged (bucket smallint, property text, account text, data text)"
        " ON COMMIT DELETE ROWS"
    )
    with connection.cursor().copy("COPY staged FROM STDIN") as copy:
        for account in ("1", "2", "3", "unknown"):
            copy.write_row((None, "shop", account, "user.name"))
    connection.execute("UPDATE staged SET bucket = bucket_of(property, account)")
    added = connection.execute(
        "INSERT INTO collections SELECT staged.bucket, account_key, data, NULL"
        " FROM staged JOIN accounts USING (bucket, property, account)"
        " ON CONFLICT DO NOTHING RETURNING account_key"
    )
    assert len(added.fetchall()) == 3
    sets = connection.execute(
        "INSERT INTO holdings (members, digest)"
        " SELECT DISTINCT ON (made.digest) sets.members, made.digest FROM collected_sets AS sets"
        " CROSS JOIN LATERAL sha256(convert_to(sets.members::text, 'UTF8')) AS made (digest)"
        " ORDER BY made.digest ON CONFLICT DO NOTHING"
    )
    assert sets.rowcount == 2


@pytest.mark.parametrize("node", [0, 1])
def test_planning_stays_where_the_accounts_are(nodes: Nodes, node: int) -> None:
    """A statement over all buckets runs on each shard: no row passes through the node asked."""
    plan = nodes[node].execute(
        "EXPLAIN INSERT INTO notices"
        " SELECT bucket, account_key, version_id, 1, 'due' FROM situations"
        " JOIN unnest('{active}'::text[], '{choice}'::text[]) WITH ORDINALITY"
        "      AS steps (status, step, place) USING (status)"
        " WHERE last_state IS NULL ON CONFLICT DO NOTHING"
    )
    text = "\n".join(line for (line,) in plan)
    assert "Task Count: 6" in text
    assert "pull to coordinator" not in text


def test_claims_skip_what_another_node_has_locked(nodes: Nodes) -> None:
    """A bucket's due notices, with their accounts, are locked on the bucket's node."""
    claim: LiteralString = (
        "SELECT notices.account_key FROM notices JOIN reach USING (bucket, account_key)"
        " WHERE bucket = %(bucket)s AND state = 'due' ORDER BY version_id LIMIT 1"
        " FOR NO KEY UPDATE OF notices SKIP LOCKED FOR SHARE OF reach SKIP LOCKED"
    )
    [(bucket,)] = nodes[0].execute(
        "SELECT bucket FROM accounts GROUP BY bucket HAVING count(*) > 2 LIMIT 1"
    )
    claimed = [node.execute(claim, {"bucket": bucket}).fetchall() for node in nodes[:3]]
    assert len({key for [(key,)] in claimed}) == 3


def test_rows_of_local_tables_are_locked_for_all_nodes(nodes: Nodes) -> None:
    """Such as the offset of a partition."""
    lock: LiteralString = "SELECT FROM offsets FOR UPDATE SKIP LOCKED"
    assert [node.execute(lock).rowcount for node in (nodes[1], nodes[0], nodes[2])] == [1, 0, 0]


@pytest.mark.parametrize("table", ["versions", "offsets", "changes"])
def test_a_table_is_locked_for_all_nodes(nodes: Nodes, table: str) -> None:
    """One of each place."""
    name = psycopg.sql.Identifier(table)
    nodes[1].execute(psycopg.sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(name))
    again = psycopg.sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE NOWAIT").format(name)
    for node in (nodes[0], nodes[2]):
        with pytest.raises(psycopg.Error, match=_REFUSED):
            node.execute(again)


def test_a_deadlock_of_several_nodes_is_one(nodes: Nodes) -> None:
    """Accounts on two nodes, locked in opposite order: who cannot go on is told to repeat it."""
    placed = nodes[3].execute(
        "SELECT DISTINCT ON (nodeport) bucket FROM accounts JOIN citus_shards"
        " ON shardid = get_shard_id_for_distribution_column('accounts', bucket)"
        " ORDER BY nodeport LIMIT 2"
    )
    [(first,), (second,)] = placed.fetchall()
    lock: LiteralString = "SELECT FROM accounts WHERE bucket = %s FOR NO KEY UPDATE"
    nodes[0].execute(lock, (first,))
    nodes[1].execute(lock, (second,))

    def ends(node: int, bucket: int) -> str:
        try:
            nodes[node].execute(lock, (bucket,))
        except psycopg.errors.DeadlockDetected:
            return "deadlock"
        finally:
            nodes[node].rollback()
        return "locked"

    with ThreadPoolExecutor(2) as threads:
        # Each node looks for deadlocks, so both transactions may be ended.
        assert "deadlock" in list(threads.map(ends, (0, 1), (second, first)))
