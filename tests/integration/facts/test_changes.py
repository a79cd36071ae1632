"""The log of changes: nothing is skipped, and nothing is deleted before everyone has read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.bucket import BUCKETS, bucket_of
from reconsent.facts.changes import (
    Change,
    any_changes,
    begin_following,
    changes_after,
    drop_left_behind,
    follow_to,
    followed,
    prune,
)
from reconsent.store.postgres import Connection, Database, connect, open_database

READER = "relay permissions"
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
            "INSERT INTO changes (bucket, changed, account_key, stream)"
            " VALUES (%s, %s::text::xid8, %s, %s)",
            (bucket_of(account_key), transaction, account_key, stream),
        )


def follow(connection: Connection, follower: str, *streams: str) -> None:
    """Follow streams from their beginnings."""
    connection.execute(
        "INSERT INTO followers SELECT bucket, %s, stream, '0', 0"
        " FROM buckets CROSS JOIN unnest(%s::text[]) AS stream"
        " ON CONFLICT (bucket, follower, stream) DO UPDATE SET changed = '0', account_key = 0",
        (follower, list(streams)),
    )


def read_all(connection: Connection, limit: int) -> list[tuple[int, int, int]]:
    """Read a stream page by page, as a follower does."""
    found: list[tuple[int, int, int]] = []
    while page := changes_after(connection, READER, "accounts", limit):
        follow_to(connection, READER, "accounts", page)
        found += [(one.bucket, int(one.transaction), one.account_key) for one in page]
    return found


def log(connection: Connection) -> list[tuple[int, int]]:
    """Return what is in the log."""
    query = "SELECT changed::text::bigint, account_key FROM changes ORDER BY 1, 2"
    return [(transaction, account_key) for transaction, account_key in connection.execute(query)]


@given(
    # Two accounts in each of two buckets.
    changes=st.lists(
        st.tuples(TRANSACTIONS, st.sampled_from([1, 2, BUCKETS + 1, BUCKETS + 2])),
        max_size=30,
        unique=True,
    ),
    limit=st.sampled_from([1, 20, 40]),
)
def test_pages_are_in_the_order_of_transactions(
    place: Database, changes: list[tuple[int, int]], limit: int
) -> None:
    """No change is skipped, also where the numbers of transactions get longer."""
    with place.connection() as connection:
        connection.execute("DELETE FROM changes")
        append(connection, *changes)
        follow(connection, READER, "accounts")
        read = read_all(connection, limit)
        wanted = [(bucket_of(key), transaction, key) for transaction, key in changes]
        assert sorted(read) == sorted(wanted)
        for bucket in range(BUCKETS):
            of_bucket = [one for one in read if one[0] == bucket]
            assert of_bucket == sorted(of_bucket)


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Database]:
    """Yield a database for all examples."""
    with open_database(make_database()) as opened:
        yield opened


APPEND = "INSERT INTO changes (bucket, account_key, stream) VALUES (%s, %s, 'accounts')"


@pytest.mark.parametrize("early_key", [BUCKETS + 1, 2])
def test_a_transaction_that_is_still_running_is_waited_for(
    connection: Connection, conninfo: str, early_key: int
) -> None:
    """A late commit is not passed by changes of later transactions, whatever their bucket."""
    follow(connection, READER, "accounts")
    connection.commit()
    with connect(conninfo) as late, connect(conninfo) as early:
        late.execute(APPEND, (1, 1))
        early.execute(APPEND, (bucket_of(early_key), early_key))
        early.commit()
        assert changes_after(connection, READER, "accounts", 100) == []
        assert any_changes(connection, READER)
        connection.commit()
        late.commit()
    keys = [one.account_key for one in changes_after(connection, READER, "accounts", 100)]
    assert keys == [1, early_key]


def test_what_all_have_read_is_deleted(connection: Connection) -> None:
    """The slowest follower of a stream decides; a stream that nobody follows is emptied."""
    append(connection, (9, 1), (10, 1), (100, 1), (100, 2))
    append(connection, (99, 1), stream="consents")
    follow(connection, READER, "accounts")
    follow(connection, "planner", "accounts")
    everything = [Change(1, "100", 1), Change(2, "100", 2)]
    follow_to(connection, "planner", "accounts", everything)
    follow_to(connection, READER, "accounts", [Change(1, "9", 1)])
    assert prune(connection, 10 * BUCKETS)
    assert log(connection) == [(10, 1), (100, 1), (100, 2)]
    follow_to(connection, READER, "accounts", everything)
    assert prune(connection, 1)
    assert log(connection) == [(100, 1)]
    assert prune(connection, 1)
    assert not prune(connection, 1)
    assert not any_changes(connection, READER)


def test_a_new_follower_begins_now(connection: Connection, conninfo: str) -> None:
    """What ended before is read from the tables; what was running then is read from the log."""
    with connect(conninfo) as running:
        running.execute(APPEND, (2, 2))
        append(connection, (99, 1))
        begin_following(connection, READER, ["accounts", "consents"])
        connection.commit()
        running.commit()
    assert sorted(followed(connection, READER)) == ["accounts", "consents"]
    assert [one.account_key for one in changes_after(connection, READER, "accounts", 10)] == [2]


def test_the_log_is_not_kept_for_a_relay_that_is_switched_off(connection: Connection) -> None:
    """One that has read nothing for long, and has much to read, begins anew when it is back."""
    week_ago = datetime.now(UTC) - timedelta(days=7)
    for follower in ("planner", READER, "relay consents"):
        follow(connection, follower, "accounts")
    append(connection, *((9, 1 + n * BUCKETS) for n in range(1000)))
    everything = changes_after(connection, "planner", "accounts", 100_000)
    follow_to(connection, "planner", "accounts", everything)
    follow_to(connection, "relay consents", "accounts", everything)
    connection.execute("UPDATE followers SET moved_at = %s - interval '1 hour'", (week_ago,))
    drop_left_behind(connection, week_ago)
    assert followed(connection, READER) == ["accounts"]
    append(connection, (10, 1))
    drop_left_behind(connection, week_ago - timedelta(days=1))
    assert followed(connection, READER) == ["accounts"]
    drop_left_behind(connection, week_ago)
    assert followed(connection, READER) == []
    assert followed(connection, "relay consents") == followed(connection, "planner") == ["accounts"]
    assert prune(connection, 1_000_000)
    assert log(connection) == [(10, 1)]
