"""A restored database is noticed; everything goes on by itself, but for mail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest

from reconsent.facts.changes import Change, changes_after, follow_to, followed
from reconsent.facts.planning.releases import begin_planning
from reconsent.facts.remembered import Remembered
from reconsent.facts.restores import (
    current_era,
    held_since,
    record_lost_time,
    resume_sending,
    sending_held,
)
from reconsent.store.postgres import Database, open_database
from reconsent.workers.scheduler import Scheduler
from tests.embedded_programs import wait_until
from tests.integration.stage import Mailbox

MOVED = "UPDATE clusters SET {} = {} + 1 WHERE era = (SELECT max(era) FROM clusters)"
CHANGE = "INSERT INTO changes (bucket, account_key, stream) VALUES (7, 7, 'accounts')"


@pytest.fixture
def database(conninfo: str) -> Iterator[Database]:
    """Yield a database that a relay and the planner have followed for a while."""
    with open_database(conninfo) as opened:
        with opened.connection() as connection:
            connection.execute(CHANGE)
            connection.execute("UPDATE followers SET changed = '4000000000', account_key = 9")
            connection.execute(
                "INSERT INTO followers"
                " SELECT bucket, 'relay consents', 'consents', '4000000000', 9 FROM buckets"
            )
        yield opened


@pytest.mark.parametrize("what", ["system_identifier", "timeline", "relation"])
def test_another_cluster_is_a_restore(database: Database, what: str) -> None:
    """The log is read again, relays begin again, and mail waits until a person lets it go on."""
    assert database.transaction(current_era) == 0
    assert database.transaction(held_since) is None
    with database.connection() as connection:
        connection.execute(MOVED.format(what, what).encode())
    era = database.transaction(current_era)
    assert era > 0
    assert database.transaction(current_era) == era
    assert database.transaction(held_since)
    with database.connection() as connection:
        assert changes_after(connection, "planner", "accounts", 10) == [Change(7, "0", 7)]
        assert followed(connection, "relay consents") == []
    assert database.transaction(resume_sending)
    assert not database.transaction(resume_sending)
    assert database.transaction(held_since) is None
    assert database.transaction(current_era) == era


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
    assert eras == [eras[0]] * 4
    with database.connection() as connection:
        count = connection.execute("SELECT count(*) FROM clusters").fetchone()
        assert count == (2,)


def test_the_same_backup_is_restored_twice(database: Database) -> None:
    """Both eras have numbers of their own, so that no event of one has the id of another."""
    eras = []
    for timeline in (2, 3):
        with database.connection() as connection:
            connection.execute("DELETE FROM clusters WHERE era > 0")
            connection.execute("UPDATE clusters SET timeline = %s", (timeline + 100,))
        eras.append(database.transaction(current_era))
        time.sleep(1.1)  # an era is numbered by the second
    assert eras[0] < eras[1]


def test_a_planner_at_work_does_not_pass_what_is_read_again(database: Database) -> None:
    """Time that was lost is recorded after the planner's transaction, not in the middle of it."""
    with database.connection() as planner:
        begin_planning(planner)
        recording = Thread(target=database.transaction, args=(record_lost_time,))
        recording.start()
        wait_until(lambda: _waiting(database))
        follow_to(planner, "planner", "accounts", [Change(7, "4000000001", 7)])
    recording.join()
    with database.connection() as connection:
        assert changes_after(connection, "planner", "accounts", 10) == [Change(7, "0", 7)]


def _waiting(database: Database) -> bool:
    with database.connection() as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return found.fetchone() == (1,)


def test_nothing_is_deleted_before_a_restore_is_recorded(database: Database) -> None:
    """Cursors of another cluster are not ahead of what was recorded since the restore."""
    with database.connection() as connection:
        connection.execute(MOVED.format("timeline", "timeline").encode())
    scheduler = Scheduler(
        database,
        settle_after=timedelta(hours=1),
        delivery="at_most_once",
        now=lambda: datetime.now(UTC),
    )
    scheduler.work()
    with database.connection() as connection:
        assert changes_after(connection, "planner", "accounts", 10) == [Change(7, "0", 7)]


def test_lost_time_is_a_restore(database: Database) -> None:
    """What the bus shows counts as well, once for as long as nobody has let sending go on."""
    database.transaction(record_lost_time)
    database.transaction(record_lost_time)
    first = database.transaction(current_era)
    assert first > 0
    database.transaction(resume_sending)
    database.transaction(record_lost_time)
    assert database.transaction(current_era) > first


def test_a_mailbox_goes_on(database: Database) -> None:
    """Where repeated messages are delivered once, mail need not wait."""
    provider = Mailbox()
    database.transaction(record_lost_time)
    for safe in (True, False):
        provider.repeats_safely = safe
        held = database.transaction(lambda connection: sending_held(connection, provider))
        assert held is not safe


def test_nothing_is_remembered_across_a_restore(make_database: Callable[[], str]) -> None:
    """New connections that find the tables made again empty the caches: ids may mean other sets."""
    remembered = Remembered[int, str](10)
    assert remembered.look_up([1], lambda _: {1: "before"}) == {1: "before"}
    with open_database(make_database(), size=1) as opened:
        opened.transaction(held_since)
        with opened.connection() as connection:
            connection.execute("CREATE TABLE again (LIKE clusters INCLUDING ALL)")
            connection.execute("INSERT INTO again TABLE clusters")
            connection.execute("DROP TABLE clusters")
            connection.execute("ALTER TABLE again RENAME TO clusters")
        assert remembered.look_up([1], lambda _: {}) == {1: "before"}
        with pytest.raises(Exception, match="terminating"), opened.connection() as connection:
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        opened.transaction(held_since)
    assert remembered.look_up([1], lambda _: {1: "after"}) == {1: "after"}
