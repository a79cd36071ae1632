"""The log of changes: nothing is skipped, and nothing is deleted before everyone has read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.facts.changes import (
    Cursor,
    any_changes,
    begin_following,
    changes_after,
    cursors,
    follow_to,
    prune,
)
from reconsent.store.postgres import Connection, Database, connect, open_database

BEGINNING = Cursor("0", 0)
TRANSACTIONS = st.integers(90, 110) | st.integers(9, 12)


@pytest.fixture
def connection(conninfo: str) -> Iterator[Connection]:
    """Yield a connection to a database without changes."""
    with connect(conninfo) as opened:
        opened.execute("DELETE FROM changes")
        yield opened


def append(connection: Connection, *changes: tuple[int, int], stream: str = "accounts") -> None:
    """Append changes as if transactions with these numbers had made them."""
    for transaction, account_key in changes:
        connection.execute(
            "INSERT INTO changes VALUES (%s::text::xid8, %s, %s)",
            (transaction, account_key, stream),
        )


def read_all(connection: Connection, limit: int) -> list[tuple[int, int]]:
    """Read a stream page by page, as a follower does."""
    found: list[tuple[int, int]] = []
    cursor = BEGINNING
    while page := changes_after(connection, "accounts", cursor, limit):
        cursor = page[-1]
        found += [(int(change.transaction), change.account_key) for change in page]
    return found


@given(
    changes=st.lists(st.tuples(TRANSACTIONS, st.integers(1, 4)), max_size=20, unique=True),
    limit=st.integers(1, 4),
)
def test_pages_are_in_the_order_of_transactions(
    place: Database, changes: list[tuple[int, int]], limit: int
) -> None:
    """No change is skipped, also where the numbers of transactions get longer."""
    with place.connection() as connection:
        connection.execute("DELETE FROM changes")
        append(connection, *changes)
        assert read_all(connection, limit) == sorted(changes)


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Database]:
    """Yield a database for all examples."""
    with open_database(make_database()) as opened:
        yield opened


def test_a_transaction_that_is_still_running_is_waited_for(
    connection: Connection, conninfo: str
) -> None:
    """A change that is committed late is not passed by changes of later transactions."""
    with connect(conninfo) as late, connect(conninfo) as early:
        late.execute("INSERT INTO changes (account_key, stream) VALUES (1, 'accounts')")
        early.execute("INSERT INTO changes (account_key, stream) VALUES (2, 'accounts')")
        early.commit()
        connection.commit()
        assert changes_after(connection, "accounts", BEGINNING, 10) == []
        assert any_changes(connection, {"accounts": BEGINNING})
        late.commit()
        connection.commit()
    keys = [one.account_key for one in changes_after(connection, "accounts", BEGINNING, 10)]
    assert keys == [1, 2]


def test_what_all_have_read_is_deleted(connection: Connection) -> None:
    """The slowest follower of a stream decides; a stream that nobody follows is emptied."""
    append(connection, (9, 1), (10, 1), (100, 1))
    append(connection, (99, 1), stream="consents")
    begin_following(connection, "relay permissions", ["accounts"])
    follow_to(connection, "planner", "accounts", Cursor("100", 1))
    follow_to(connection, "relay permissions", "accounts", Cursor("9", 1))
    assert prune(connection, 10)
    assert read_all(connection, 10) == [(10, 1), (100, 1)]
    assert changes_after(connection, "consents", BEGINNING, 10) == []
    follow_to(connection, "relay permissions", "accounts", Cursor("100", 1))
    assert prune(connection, 1)
    assert prune(connection, 1)
    assert not prune(connection, 1)
    assert not any_changes(connection, {"accounts": BEGINNING})


def test_a_new_follower_begins_now(connection: Connection, conninfo: str) -> None:
    """What ended before is read from the tables; what was running then is read from the log."""
    with connect(conninfo) as running:
        running.execute("INSERT INTO changes (account_key, stream) VALUES (2, 'accounts')")
        append(connection, (99, 1))
        begin_following(connection, "relay consents", ["accounts", "consents"])
        connection.commit()
        running.commit()
    cursor = cursors(connection, "relay consents")["accounts"]
    assert [one.account_key for one in changes_after(connection, "accounts", cursor, 10)] == [2]
