"""Migrations: applied once, in order, and never changed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from reconsent.domain.errors import OutsideError, StoppedError
from reconsent.facts.changes import PLANNER, changes_after
from reconsent.store.migrations import migrate, migrations
from reconsent.store.named import named
from reconsent.store.postgres import connect
from tests.embedded_programs import wait_until

LOCK = "SELECT pg_advisory_lock(hashtext('reconsent.migrate'))"
IN_A_TRANSACTION = "CREATE TABLE places (name text);\nINSERT INTO places VALUES ('here');\n"
OUTSIDE = """-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS places_name;
CREATE INDEX CONCURRENTLY places_name
ON places (name);
"""


@pytest.fixture
def empty(server: str) -> Iterator[str]:
    """Yield the conninfo of an empty database."""
    name = Identifier(f"test_{uuid4().hex[:12]}")
    role = Identifier(str(conninfo_to_dict(server)["user"]))
    admin = make_conninfo(server, user="postgres", dbname="postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {} OWNER {}").format(name, role))
        yield make_conninfo(server, dbname=name.as_string().strip('"'))
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one migration of each kind."""
    (tmp_path / "0001_places.sql").write_text(IN_A_TRANSACTION)
    (tmp_path / "0002_index.sql").write_text(OUTSIDE)
    return tmp_path


def rows(conninfo: str, query: str) -> list[tuple[Any, ...]]:
    """Run a query."""
    with connect(conninfo) as connection:
        return connection.execute(query.encode()).fetchall()


def at_once(work: Callable[[], object], number: int = 3) -> None:
    """Run the same work in several threads, and wait for all of them."""
    threads = [Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_both_kinds_are_applied_once(empty: str, folder: Path) -> None:
    """A second run does nothing."""
    assert migrate(empty, folder) == ["0001_places.sql", "0002_index.sql"]
    assert migrate(empty, folder) == []
    assert rows(empty, "SELECT name FROM places") == [("here",)]
    index = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'places_name'::regclass"
    assert rows(empty, index) == [(True,)]


def test_several_may_migrate_at_once(empty: str, folder: Path) -> None:
    """Of concurrent runs on an empty database one migrates, and the others do nothing."""
    applied: list[list[str]] = []
    at_once(lambda: applied.append(migrate(empty, folder)))
    assert sorted(map(len, applied)) == [0, 0, 2]


def test_our_own_migrations_may_run_at_once(empty: str) -> None:
    """The same holds for the real migrations."""
    applied: list[list[str]] = []
    at_once(lambda: applied.append(migrate(empty)))
    assert sorted(map(len, applied)) == [0, 0, len(migrations())]


def test_a_changed_file_stops_the_program(empty: str, folder: Path) -> None:
    """One line names the file and the remedy; with the right file the program starts."""
    migrate(empty, folder)
    (folder / "0001_places.sql").write_text("CREATE TABLE elsewhere (name text);\n")
    (folder / "0003_more.sql").write_text("CREATE TABLE more ();\n")
    with pytest.raises(StoppedError) as caught:
        migrate(empty, folder)
    assert str(caught.value) == (
        "database: migration 0001_places.sql was changed after it was applied; "
        "install the release that this database was migrated with, or a later one"
    )
    assert caught.value.exit_code == 3
    (folder / "0001_places.sql").write_text(IN_A_TRANSACTION)
    assert migrate(empty, folder) == ["0003_more.sql"]


def test_what_was_applied_before_hashes_were_stored_gets_them(empty: str, folder: Path) -> None:
    """The first run stores the hashes of the files; later changes are refused."""
    with connect(empty) as connection:
        connection.execute(IN_A_TRANSACTION.encode())
        connection.execute(
            "CREATE TABLE migrations ("
            " name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        connection.execute("INSERT INTO migrations (name) VALUES ('0001_places.sql')")
    assert migrate(empty, folder) == ["0002_index.sql"]
    stored = "SELECT name, sha256 FROM migrations ORDER BY name"
    assert rows(empty, stored) == [(known.name, known.checksum) for known in migrations(folder)]
    (folder / "0001_places.sql").write_text("")
    with pytest.raises(StoppedError, match="0001_places"):
        migrate(empty, folder)


def test_a_failed_transaction_leaves_nothing(empty: str, folder: Path) -> None:
    """Earlier migrations stay applied; the next run repeats the failed one."""
    broken = "CREATE TABLE half ();\nSELECT 1 FROM nowhere;\n"
    (folder / "0003_broken.sql").write_text(broken)
    message = 'database: migration 0003_broken.sql: relation "nowhere" does not exist'
    with pytest.raises(OutsideError, match=f"^{message}$"):
        migrate(empty, folder)
    assert rows(empty, "SELECT to_regclass('half')") == [(None,)]
    (folder / "0003_broken.sql").write_text("CREATE TABLE whole ();\n")
    assert migrate(empty, folder) == ["0003_broken.sql"]


def test_outside_a_transaction_the_next_run_begins_again(empty: str, folder: Path) -> None:
    """Statements before the failed one took effect, and are repeated."""
    unique = OUTSIDE.replace("CREATE INDEX", "CREATE UNIQUE INDEX")
    (folder / "0001_places.sql").write_text(IN_A_TRANSACTION + "INSERT INTO places TABLE places;\n")
    (folder / "0002_index.sql").write_text(unique)
    with pytest.raises(OutsideError, match=r"^database: migration 0002_index.sql: could not"):
        migrate(empty, folder)
    index = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'places_name'::regclass"
    assert rows(empty, index) == [(False,)]
    assert rows(empty, "SELECT name FROM migrations") == [("0001_places.sql",)]
    with connect(empty) as connection:
        connection.execute("DELETE FROM places WHERE ctid = '(0,1)'")
    assert migrate(empty, folder) == ["0002_index.sql"]
    assert rows(empty, index) == [(True,)]


def test_a_lost_connection_is_reported_in_one_line(empty: str, folder: Path) -> None:
    """If the connection is lost during a migration, the next run completes it."""
    (folder / "0003_long.sql").write_text("SELECT pg_sleep(600);\n")
    failures: list[OutsideError] = []

    def start() -> None:
        try:
            migrate(empty, folder)
        except OutsideError as error:
            failures.append(error)

    starting = Thread(target=start)
    starting.start()
    with connect(empty, autocommit=True) as other:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        wait_until(lambda: other.execute(cut).fetchall())
    starting.join()
    assert [str(error).partition(":")[0] for error in failures] == ["database"]
    (folder / "0003_long.sql").write_text("SELECT 1;\n")
    assert migrate(empty, folder) == ["0003_long.sql"]


def test_waiting_for_another_process_does_not_block_it(empty: str, folder: Path) -> None:
    """A process that waits for the lock does not block CREATE INDEX CONCURRENTLY."""
    with connect(empty, autocommit=True) as other:
        other.execute(LOCK)
        other.execute(IN_A_TRANSACTION.encode())
        applied: list[list[str]] = []
        waiting = Thread(target=lambda: applied.append(migrate(empty, folder)))
        waiting.start()
        looking = (
            "SELECT FROM pg_stat_activity"
            " WHERE query LIKE '%pg_try_advisory_lock%' AND pid <> pg_backend_pid()"
        )
        wait_until(lambda: other.execute(looking).fetchall())
        other.execute("CREATE INDEX CONCURRENTLY here ON places (name)")
        other.execute("DROP TABLE places")
    waiting.join()
    assert applied == [["0001_places.sql", "0002_index.sql"]]


_OF_BEFORE = """
INSERT INTO accounts (property, account)
SELECT 'shop.example', name FROM unnest(ARRAY['b', 'B', 'a', 'é']) AS name;
INSERT INTO asks (members, digest) VALUES ('[["user", "v1", "marketing", "a"]]', sha256('ask'));
INSERT INTO attempts (provider, lease, members, payload_hash) VALUES ('tests', 1, 1, '');
INSERT INTO notices (account_key, version_id, sequence, kind, state, ask_id, attempt_id, rendering,
                     address_hash, accepted_at)
SELECT account_key, 1, 1, 'choice', 'accepted', 1, attempt_id, 'r', '', now()
FROM accounts, attempts;
INSERT INTO notices (account_key, version_id, sequence, kind, state, suppression, ask_id, about,
                     occasion)
SELECT account_key, 1, 1 + n, 'reminder', 'suppressed', 'deactivated', 1, notice_id, n
FROM notices, generate_series(1, 2) AS n WHERE account_key % 2 = 0;
"""


def migrate_to(conninfo: str, end: str, folder: Path) -> None:
    """Apply the migrations before one."""
    for migration in migrations():
        if migration.name < end:
            (folder / migration.name).write_bytes(migration.sql)
    migrate(conninfo, folder)


def to_plan(conninfo: str) -> list[str]:
    """Return the accounts that the planner will look at."""
    with connect(conninfo) as connection:
        keys = [one.account_key for one in changes_after(connection, PLANNER, "accounts", 100)]
    names = dict(rows(conninfo, "SELECT account_key, account FROM accounts"))
    return sorted(names[key] for key in keys)


_ACCOUNT = "INSERT INTO accounts (property, account) VALUES ('shop.example', %s)"
_SEEN = "UPDATE cursors SET changed = (SELECT max(changed) FROM accounts), account_key = 9"


def test_what_the_planner_has_not_seen_is_taken_along(empty: str, tmp_path: Path) -> None:
    """That includes what a program of before has not committed yet when the migration begins."""
    migrate_to(empty, "0010", tmp_path)
    with connect(empty, autocommit=True) as connection:
        connection.execute(_ACCOUNT, ["seen"])
        connection.execute(_SEEN)
        connection.execute(_ACCOUNT, ["new"])
    migrating = Thread(target=migrate, args=(empty,))
    with connect(empty) as late, connect(empty, autocommit=True) as other:
        late.execute(_ACCOUNT, ["late"])
        migrating.start()
        looking = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'accounts'::regclass"
        wait_until(lambda: other.execute(looking).fetchall())
    migrating.join()
    assert to_plan(empty) == ["late", "new"]


def test_a_database_restored_before_is_planned_again(empty: str, tmp_path: Path) -> None:
    """Its planner waited for transaction ids of another cluster, and has seen nothing since."""
    migrate_to(empty, "0010", tmp_path)
    with connect(empty, autocommit=True) as connection:
        connection.execute(_ACCOUNT, ["before"])
        connection.execute("UPDATE cursors SET changed = '4000000000'")
        connection.execute(_ACCOUNT, ["since"])
    migrate(empty)
    assert to_plan(empty) == ["before", "since"]


def test_growth_takes_existing_rows_along(empty: str, tmp_path: Path) -> None:
    """Existing notices are counted, reminders noted with their questions, and names sorted."""
    migrate_to(empty, "0011", tmp_path)
    with connect(empty) as connection:
        connection.execute(_OF_BEFORE.encode())
    assert "0011_growth.sql" in migrate(empty)
    counts = rows(empty, named("read/counts")["count_states"])
    assert counts == [
        (1, "choice", "accepted", None, 4),
        (1, "reminder", "suppressed", "deactivated", 4),
    ]
    reminded = (
        "SELECT (account_key >> 6) % 2, reminded FROM notices WHERE kind = 'choice' ORDER BY 1, 2"
    )
    assert rows(empty, reminded) == [(0, 2), (0, 2), (1, 0), (1, 0)]
    names = "SELECT account FROM account_reach ORDER BY property, account"
    assert [name for (name,) in rows(empty, names)] == ["B", "a", "b", "é"]


_NAMINGS_OF_BEFORE = """
INSERT INTO named_addresses (bucket, account_key, address_hash, named_at, verified_at)
SELECT bucket_of(64), 64, address::bytea, '2027-01-01'::timestamptz + day * interval '1 day',
       CASE WHEN day = verified THEN '2027-01-01'::timestamptz END
FROM (VALUES ('a', 20), ('b', NULL)) AS addresses (address, verified),
     unnest(ARRAY[0, 10, 20, 50, 80, 81, 110]) AS day;
INSERT INTO bus_partitions (topic, partition, next_offset)
VALUES ('mail-events', 0, 3), ('mail-events', 1, 0), ('accounts.dead', 3, 1);
"""


def test_the_bus_and_namings_are_taken_along(empty: str, tmp_path: Path) -> None:
    """All messages are to be looked into; of namings what the program would keep is kept."""
    migrate_to(empty, "0050", tmp_path)
    with connect(empty) as connection:
        connection.execute(_NAMINGS_OF_BEFORE.encode())
    assert "0050_swept.sql" in migrate(empty)
    to_sweep = rows(empty, "SELECT * FROM bus_sweeps ORDER BY topic")
    assert to_sweep == [("accounts.dead", 3, 0), ("mail-events", 0, 0)]
    kept = (
        "SELECT convert_from(address_hash, 'UTF8'),"
        " array_agg(extract(day FROM named_at - '2027-01-01')::integer ORDER BY named_at)"
        " FROM named_addresses GROUP BY 1 ORDER BY 1"
    )
    assert rows(empty, kept) == [("a", [0, 20, 81, 110]), ("b", [0, 81, 110])]
