"""The tables lie on Citus where their comments say, and keep their promises on every node."""

from __future__ import annotations

from typing import LiteralString

import psycopg
import pytest

from tests.citus.conftest import Nodes
from tests.citus.layout import LayoutError, declared, lay_out

ANY_NODE = pytest.mark.parametrize("node", [0, 1, 3])


def test_tables_lie_where_their_comments_say(nodes: Nodes) -> None:
    """Citus and the comments name the same place of each table; all distributed ones together."""
    layout = declared(nodes[0])
    found = nodes[0].execute(
        "SELECT table_name::text, citus_table_type, colocation_id FROM citus_tables"
    )
    rows = found.fetchall()
    assert {table: place for table, place, _ in rows} == layout.places
    assert len({together for _, place, together in rows if place == "distributed"}) == 1


def test_every_worker_has_buckets(nodes: Nodes) -> None:
    """The cluster is one in which rows of different buckets lie on different nodes."""
    found = nodes[0].execute(
        "SELECT count(DISTINCT nodeport) FROM citus_shards WHERE table_name = 'accounts'::regclass"
    )
    assert found.fetchone() == (3,)


@ANY_NODE
def test_every_node_reads_all(nodes: Nodes, node: int) -> None:
    """Each node answers for all tables, and through the views."""
    for table, rows in (("situations", 200), ("collected_sets", 200), ("offsets", 1)):
        query = psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(table))
        assert nodes[node].execute(query).fetchone() == (rows,)


def test_a_table_without_a_place_is_refused(nodes: Nodes) -> None:
    """Nothing is laid out before every table says where."""
    nodes[0].execute("CREATE TABLE lost (a integer); COMMENT ON TABLE lost IS 'somewhere: or not'")
    assert declared(nodes[0]).undeclared == ["lost"]
    with pytest.raises(LayoutError, match="lost"):
        lay_out(nodes[0])


def test_distributed_tables_do_not_refer_to_reference_tables(nodes: Nodes) -> None:
    """A foreign key that Citus would refuse transactions for is refused at once."""
    nodes[0].execute(
        "CREATE TABLE sets (a integer PRIMARY KEY);"
        "CREATE TABLE people (bucket smallint, a integer REFERENCES sets);"
        "COMMENT ON TABLE sets IS 'reference: x'; COMMENT ON TABLE people IS 'distributed: x'"
    )
    with pytest.raises(LayoutError, match="people -> sets"):
        lay_out(nodes[0])


@ANY_NODE
def test_shared_tables_can_be_written_after_all_buckets_were_read(nodes: Nodes, node: int) -> None:
    """Also those that others refer to on one server."""
    nodes[node].execute("SELECT count(*) FROM accounts")
    added = nodes[node].execute("INSERT INTO policies VALUES ('another') ON CONFLICT DO NOTHING")
    assert added.rowcount == 1


def test_the_coordinator_keeps_no_copy_of_distributed_rows(nodes: Nodes) -> None:
    """What is forgotten later must not remain where the rows lay before."""
    nodes[0].execute("SET citus.override_table_visibility = off")
    tables = declared(nodes[0]).of("distributed")
    sizes = nodes[0].execute(
        "SELECT sum(pg_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name", (tables,)
    )
    assert sizes.fetchone() == (0,)


@ANY_NODE
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE consents SET answer = 'deny'",
        "UPDATE consents SET answer = 'deny' WHERE bucket = 7",
        "DELETE FROM consents",
        "DELETE FROM consents WHERE bucket = 7",
        "TRUNCATE consents",
        "DELETE FROM accounts WHERE bucket = 7",
        "TRUNCATE accounts CASCADE",
        "UPDATE holdings SET members = '[1]'",
        "DELETE FROM holdings",
        "TRUNCATE holdings",
        "DELETE FROM releases",
        "TRUNCATE releases CASCADE",
    ],
)
def test_append_only_tables_refuse_changes(
    nodes: Nodes, node: int, statement: LiteralString
) -> None:
    """Whichever node is asked."""
    with pytest.raises(psycopg.errors.RestrictViolation):
        nodes[node].execute(statement)


@ANY_NODE
def test_append_only_tables_take_rows(nodes: Nodes, node: int) -> None:
    """The identity column numbers them on each node."""
    nodes[node].execute("INSERT INTO consents (bucket, account_key, answer) VALUES (7, 1, 'deny')")
    found = nodes[node].execute("SELECT count(*), count(DISTINCT consent_id) FROM consents")
    assert found.fetchone() == (201, 201)


@ANY_NODE
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO changes (bucket, account_key) VALUES (7, 1), (8, 2), (9, 3), (10, 4)",
        "INSERT INTO changes (bucket, account_key) SELECT 7, unnest('{1,2}'::bigint[])",
        """
        INSERT INTO changes (bucket, account_key)
        SELECT * FROM unnest('{7,8,9,10}'::smallint[], '{1,2,3,4}'::bigint[])
        """,
        "INSERT INTO changes (bucket, account_key) SELECT bucket, account_key FROM accounts",
        """
        WITH written AS (UPDATE notices SET state = 'sent' RETURNING bucket, account_key)
        INSERT INTO changes (bucket, account_key) SELECT bucket, account_key FROM written
        """,
    ],
)
def test_changes_bear_the_number_of_the_transaction_on_their_node(
    nodes: Nodes, node: int, statement: LiteralString
) -> None:
    """Compared with the oldest transaction of that node, any other number would lose changes."""
    nodes[node].execute(statement)
    found = nodes[node].execute(
        "SELECT count(*), count(*) FILTER (WHERE changed::text = xmin::text) FROM changes"
    )
    [(rows, right)] = found.fetchall()
    assert 0 < rows == right


@ANY_NODE
def test_copied_changes_bear_it_too(nodes: Nodes, node: int) -> None:
    """COPY is another way into the table."""
    with nodes[node].cursor().copy("COPY changes (bucket, account_key) FROM STDIN") as copy:
        for bucket in range(8):
            copy.write_row((bucket, 1))
    found = nodes[node].execute("SELECT count(*) FROM changes WHERE changed::text = xmin::text")
    assert found.fetchone() == (8,)


def test_no_two_nodes_draw_the_same_number(nodes: Nodes) -> None:
    """From a sequence that belongs to no column, of which Citus knows nothing."""
    drawn = [
        number
        for node in nodes
        for (number,) in node.execute(
            "SELECT nextval('account_numbers') FROM generate_series(1, 100)"
        )
    ]
    assert len(set(drawn)) == 400
    assert min(drawn) >= 5


@ANY_NODE
def test_numbers_are_drawn_while_rows_are_written(nodes: Nodes, node: int) -> None:
    """Each node can draw for rows of all buckets."""
    nodes[node].execute(
        "INSERT INTO collections"
        " SELECT bucket, nextval('account_numbers'), 'user.name', NULL FROM accounts"
    )
    found = nodes[node].execute(
        "SELECT count(DISTINCT account_key) FROM collections WHERE data_category = 'user.name'"
    )
    assert found.fetchone() == (200,)
