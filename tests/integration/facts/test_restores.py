"""A restored database is noticed; everything goes on by itself, but for mail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Barrier, Thread

import pytest

from reconsent.facts.changes import Cursor, changes_after, cursors
from reconsent.facts.remembered import Remembered
from reconsent.facts.restores import (
    current_era,
    held_since,
    record_lost_time,
    resume_sending,
    sending_held,
)
from reconsent.store.postgres import Database, open_database
from tests.integration.stage import Mailbox

MOVED = "UPDATE clusters SET {} = {} + 1 WHERE era = (SELECT max(era) FROM clusters)"
CHANGE = "INSERT INTO changes (account_key, stream) VALUES (7, 'accounts')"


@pytest.fixture
def database(conninfo: str) -> Iterator[Database]:
    """Yield a database that a relay and the planner have followed for a while."""
    with open_database(conninfo) as opened:
        with opened.connection() as connection:
            connection.execute(CHANGE)
            connection.execute("UPDATE followers SET changed = '4000000000', account_key = 9")
            connection.execute(
                "INSERT INTO followers VALUES ('relay consents', 'consents', '4000000000', 9)"
            )
        yield opened


@pytest.mark.parametrize("what", ["system_identifier", "timeline", "relation"])
def test_another_cluster_is_a_restore(database: Database, what: str) -> None:
    """The log is read again, relays begin again, and mail waits until a person lets it go on."""
    assert database.transaction(current_era) == 0
    assert database.transaction(held_since) is None
    with database.connection() as connection:
        connection.execute(MOVED.format(what, what).encode())
    assert database.transaction(current_era) == 1
    assert database.transaction(current_era) == 1
    assert database.transaction(held_since)
    with database.connection() as connection:
        [cursor] = cursors(connection, "planner").values()
        assert changes_after(connection, "accounts", cursor, 10) == [Cursor("0", 7)]
        assert cursors(connection, "relay consents") == {}
    assert database.transaction(resume_sending)
    assert not database.transaction(resume_sending)
    assert database.transaction(held_since) is None
    assert database.transaction(current_era) == 1


def test_many_notice_a_restore_and_one_records_it(database: Database) -> None:
    """Services that notice the same restore at the same time begin one new era."""
    with database.connection() as connection:
        connection.execute(MOVED.format("timeline", "timeline").encode())
    ready = Barrier(4)
    eras: list[int] = []

    def notice() -> None:
        ready.wait()
        eras.append(database.transaction(current_era))

    threads = [Thread(target=notice) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert eras == [1] * 4


def test_lost_time_is_a_restore(database: Database) -> None:
    """What the bus shows counts as well, once for as long as nobody has let sending go on."""
    database.transaction(record_lost_time)
    database.transaction(record_lost_time)
    assert database.transaction(current_era) == 1
    database.transaction(resume_sending)
    database.transaction(record_lost_time)
    assert database.transaction(current_era) == 2


def test_a_mailbox_goes_on(database: Database) -> None:
    """Where repeated messages are delivered once, mail need not wait."""
    provider = Mailbox()
    database.transaction(record_lost_time)
    for safe in (True, False):
        provider.repeats_safely = safe
        held = database.transaction(lambda connection: sending_held(connection, provider))
        assert held is not safe


def test_nothing_is_remembered_across_a_restore(
    monkeypatch: pytest.MonkeyPatch, make_database: Callable[[], str]
) -> None:
    """New connections that lead to another cluster empty the caches: ids may mean other sets."""
    remembered = Remembered[int, str](10)
    assert remembered.look_up([1], lambda _: {1: "before"}) == {1: "before"}
    with open_database(make_database(), size=1) as opened:
        opened.transaction(held_since)
        monkeypatch.setattr("reconsent.store.postgres._CLUSTER", "SELECT 1, 'elsewhere'")
        with pytest.raises(Exception, match="terminating"), opened.connection() as connection:
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        opened.transaction(held_since)
    assert remembered.look_up([1], lambda _: {1: "after"}) == {1: "after"}
