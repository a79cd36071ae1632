"""Where each table lies on Citus: read from the tables' comments, and done.

`COMMENT ON TABLE x IS 'distributed: why'`, or `reference`, or `local`. The rows of distributed
tables lie by their column `bucket`, those of one bucket on one node. A reference table is on every
node, a local one on the coordinator; every node can read and write all of them.
"""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Final, Literal, LiteralString, NamedTuple, get_args

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconsent.store.postgres import Connection

Place = Literal["distributed", "reference", "local"]
PLACES: Final[tuple[Place, ...]] = get_args(Place)

_TABLES: Final = """
SELECT relname, coalesce(obj_description(oid, 'pg_class'), '')
FROM pg_class
WHERE relnamespace = current_schema::regnamespace AND relkind IN ('r', 'p')
  -- An extension's tables are its own.
  AND NOT EXISTS (SELECT FROM pg_depend
                  WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
ORDER BY relname
"""
_FOREIGN_KEYS: Final = """
SELECT referring.relname, referred.relname, conname
FROM pg_constraint
JOIN pg_class AS referring ON referring.oid = conrelid
JOIN pg_class AS referred ON referred.oid = confrelid
WHERE contype = 'f' AND referring.relnamespace = current_schema::regnamespace
"""
# A node evaluates the default of a row that it passes on to another node, where the transaction has
# another number.
_TRANSACTION_DEFAULTS: Final = """
SELECT relname, attname
FROM pg_attrdef
JOIN pg_class ON pg_class.oid = adrelid
JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
WHERE relname = ANY(%s) AND relnamespace = current_schema::regnamespace
  AND pg_get_expr(adbin, adrelid) = 'pg_current_xact_id()'
"""
_STAMP: Final[LiteralString] = """
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.{column} := pg_current_xact_id();
    RETURN NEW;
END
$$;
CREATE TRIGGER {function} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();
"""
# Citus does not take a trigger that also concerns TRUNCATE to where the rows of a local table lie.
_SHARED_TRIGGERS: Final = """
SELECT relname, tgname, tgfoid::regproc::text, array_remove(ARRAY[
    CASE WHEN tgtype::integer & 4 > 0 THEN 'INSERT' END,
    CASE WHEN tgtype::integer & 8 > 0 THEN 'DELETE' END,
    CASE WHEN tgtype::integer & 16 > 0 THEN 'UPDATE' END], NULL)
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE relname = ANY(%s) AND relnamespace = current_schema::regnamespace
  AND NOT tgisinternal AND tgtype::integer & 32 > 0 AND tgtype::integer & 28 > 0
"""
_TRIGGER_OF_ROWS: Final[LiteralString] = (
    "CREATE TRIGGER {name} BEFORE {events} ON {table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
)
# Sequences that number no column on their own: Citus knows nothing of them.
_SEQUENCES: Final = """
SELECT relname FROM pg_class
WHERE relnamespace = current_schema::regnamespace AND relkind = 'S'
  AND NOT EXISTS (SELECT FROM pg_depend
                  WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                    AND deptype IN ('a', 'i', 'e'))
ORDER BY relname
"""
_SEQUENCE_OF_A_WORKER: Final[LiteralString] = """
DO $$ BEGIN
    DROP SEQUENCE IF EXISTS {sequence};
    EXECUTE format('CREATE SEQUENCE {sequence} INCREMENT BY {most} START WITH %s',
                   (SELECT {first} + groupid FROM pg_dist_local_group));
END $$
"""
# More nodes than there are buckets would have nothing to do.
_MOST_NODES: Final = 64
_SETTINGS: Final[tuple[LiteralString, ...]] = (
    # Triggers that look at nothing but their own row or statement do on a shard what they should.
    "SET LOCAL citus.enable_unsafe_triggers = on",
    # The order of the tables is ours: Citus would follow foreign keys on its own.
    "SET LOCAL citus.enable_local_reference_table_foreign_keys = off",
    # Several tables with foreign keys are laid in one transaction.
    "SET LOCAL citus.multi_shard_modify_mode = 'sequential'",
)
_ALLOWED: Final = {*((place, place) for place in PLACES), ("local", "reference")}


class LayoutError(Exception):
    """The tables cannot be laid out, for the reason given."""


class Layout(NamedTuple):
    """The tables of a schema by their place, those whose comment names none, and the comments."""

    places: Mapping[str, Place]
    undeclared: list[str]
    comments: Mapping[str, str]

    def of(self, place: Place) -> list[str]:
        """Return the tables of a place."""
        return [table for table, where in self.places.items() if where == place]


def declared(connection: Connection) -> Layout:
    """Read the comments of a schema's tables."""
    comments: dict[str, str] = dict(connection.execute(_TABLES).fetchall())
    by_word = {place: place for place in PLACES}
    words = {table: comment.partition(":")[0] for table, comment in comments.items()}
    places = {table: by_word[word] for table, word in words.items() if word in by_word}
    return Layout(places, [table for table in comments if table not in places], comments)


def lay_out(connection: Connection) -> None:
    """Lay the tables of a database out, in one transaction over a connection to the coordinator.

    Raises LayoutError if the comment of a table does not say where.
    """
    layout = declared(connection)
    if layout.undeclared:
        raise LayoutError(f"tables without a place: {', '.join(layout.undeclared)}")
    found = connection.execute(_FOREIGN_KEYS).fetchall()
    keys = [(referring, referred) for referring, referred, _ in found]
    _check(keys, layout.places)
    order = _referred_first(keys, layout.places)
    with connection.transaction():
        for setting in _SETTINGS:
            connection.execute(setting)
        _drop_keys(connection, found, layout.places)
        _number(connection)
        _stamp(connection, layout.of("distributed"))
        _call(connection, "SELECT create_reference_table(%s)", layout.of("reference"), order)
        _distribute(connection, sorted(layout.of("distributed"), key=order.index))
        local = "SELECT citus_add_local_table_to_metadata(%s, cascade_via_foreign_keys => true)"
        _separate_triggers(connection, layout.of("local"))
        _call(connection, local, layout.of("local"), order)
        for table in layout.of("local"):  # Citus keeps the comment with the rows
            comment = sql.SQL("COMMENT ON TABLE {} IS {}").format(
                sql.Identifier(table), sql.Literal(layout.comments[table])
            )
            connection.execute(comment)


def _check(keys: Iterable[tuple[str, str]], places: Mapping[str, Place]) -> None:
    """Refuse foreign keys that Citus does not have, and those of distributed tables to others.

    Where a distributed table refers to a reference table, a transaction that has read or written
    several buckets can no longer write the reference table. Nor is the key needed: what is shared
    is never deleted.
    """
    refused = [
        f"{referring} -> {referred}"
        for referring, referred in keys
        if (places[referring], places[referred]) not in _ALLOWED
    ]
    if refused:
        raise LayoutError(f"foreign keys from one place to another: {', '.join(refused)}")


def _drop_keys(
    connection: Connection, keys: Iterable[tuple[str, str, str]], places: Mapping[str, Place]
) -> None:
    """Drop the foreign keys that are not between distributed tables.

    A transaction that has read or written several buckets can write no table that is referred to.
    """
    for referring, referred, name in keys:
        if places[referred] != "distributed":
            connection.execute(
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
                    sql.Identifier(referring), sql.Identifier(name)
                )
            )


def _referred_first(keys: Iterable[tuple[str, str]], places: Iterable[str]) -> list[str]:
    """Return the tables, each after those that its foreign keys refer to."""
    sorter = TopologicalSorter[str](dict.fromkeys(places, ()))
    for referring, referred in keys:
        if referring != referred:
            sorter.add(referring, referred)
    return list(sorter.static_order())


def _call(
    connection: Connection, call: LiteralString, tables: Iterable[str], order: list[str]
) -> None:
    """Call a function for each table that a foreign key did not already add."""
    known = "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = %s::regclass)"
    for table in sorted(tables, key=order.index):
        if connection.execute(known, (table,)).fetchone() == (False,):
            connection.execute(call, (table,))


def _distribute(connection: Connection, tables: list[str]) -> None:
    """Distribute tables, so that the rows of one bucket are together."""
    together = "default"
    for table in tables:
        connection.execute(
            "SELECT create_distributed_table(%s, 'bucket', colocate_with => %s)", (table, together)
        )
        together = tables[0]
    # The rows were copied: what is deleted later must not remain here. The triggers of append-only
    # tables refuse to truncate.
    connection.execute("SET LOCAL session_replication_role = replica")
    for table in tables:
        connection.execute("SELECT truncate_local_data_after_distributing_table(%s)", (table,))
    connection.execute("SET LOCAL session_replication_role = origin")


def _stamp(connection: Connection, tables: list[str]) -> None:
    """Have the shards number transactions, where a column's default does so on one server."""
    for table, column in connection.execute(_TRANSACTION_DEFAULTS, (tables,)).fetchall():
        connection.execute(
            sql.SQL(_STAMP).format(
                function=sql.Identifier(f"stamp_{table}"),
                table=sql.Identifier(table),
                column=sql.Identifier(column),
            )
        )


def _separate_triggers(connection: Connection, tables: list[str]) -> None:
    """Give local tables with a trigger that also concerns TRUNCATE another one that does not."""
    found = connection.execute(_SHARED_TRIGGERS, (tables,)).fetchall()
    for table, trigger, function, events in found:
        connection.execute(
            sql.SQL(_TRIGGER_OF_ROWS).format(
                name=sql.Identifier(f"{trigger}_rows"),
                events=sql.SQL(" OR ").join(map(sql.SQL, events)),
                table=sql.Identifier(table),
                function=sql.Identifier(function),
            )
        )


def _number(connection: Connection) -> None:
    """Give each node every 64th number of a sequence, so that no two nodes draw the same."""
    for (name,) in connection.execute(_SEQUENCES).fetchall():
        sequence = sql.Identifier(name)
        query = sql.SQL("SELECT last_value + is_called::integer FROM {}").format(sequence)
        [(free,)] = connection.execute(query).fetchall()
        first = -(-free // _MOST_NODES) * _MOST_NODES  # what the coordinator, number 0, draws next
        steps = {
            "sequence": sequence,
            "most": sql.Literal(_MOST_NODES),
            "first": sql.Literal(first),
        }
        connection.execute(
            sql.SQL("ALTER SEQUENCE {sequence} INCREMENT BY {most} RESTART WITH {first}").format(
                **steps
            )
        )
        made = sql.SQL(_SEQUENCE_OF_A_WORKER).format(**steps).as_string(connection)
        # Not a part of the transaction. Made anew, as an earlier try may have left some.
        answers = connection.execute("SELECT * FROM run_command_on_workers(%s)", (made,))
        failed = [result for _, _, success, result in answers if not success]
        if failed:
            raise LayoutError(f"sequence {name}: {failed[0]}")
