"""The counts of notices are right after everything that changes notices, and block nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Thread
from typing import Final

import psycopg
import pytest
from hypothesis import given, settings

from reconsent.domain.event import AccountEvent
from reconsent.facts.record.accounts import record_accounts
from reconsent.facts.record.notice_counts import merge_counts
from reconsent.facts.record.publishing import publish
from reconsent.facts.record.standings import refresh_holdings
from reconsent.facts.sending.releases import Order, apply_flags, order
from reconsent.facts.versions import PublishedVersions
from reconsent.store.named import named
from reconsent.store.postgres import Connection, Database, connect
from reconsent.workers.planner import Planner
from reconsent.workers.running import run_until_idle
from tests.drafts import draft, row
from tests.embedded_programs import wait_until
from tests.filled import add_accounts, give_data
from tests.integration.pipeline import Both
from tests.integration.stage import Stage
from tests.model.steps import Dispatch, Plan, Step
from tests.model.worlds import stories

_COUNT = (
    "SELECT version_id, kind, state, suppression, count(*) FROM notices GROUP BY 1, 2, 3, 4"
    " ORDER BY 1, 2, 3, 4"
)


_PEOPLE: Final = """
    SELECT 'campaigner.example', 'a' || n, 'a' || n || '@example.org', NULL, NULL
    FROM generate_series(1, 10) AS n
"""
# As a claim does where the account is deleted.
_LET_GO: Final = """
    WITH written AS (
        UPDATE notices SET state = 'superseded' WHERE account_key = ANY(%(keys)s)
        RETURNING bucket, version_id, kind, state, suppression
    )
    INSERT INTO notice_counts (bucket, version_id, kind, state, suppression, notices)
    SELECT bucket, version_id, kind, one.state, suppression, one.notices
    FROM written CROSS JOIN LATERAL (VALUES (state, 1), ('due', -1)) AS one (state, notices)
"""


_MOVED: Final = """
    WITH written AS (
        UPDATE notices SET state = %(state)s, attempt_id = 1, rendering = 'r', address_hash = '',
            accepted_at = now()
        RETURNING bucket, version_id, kind
    )
    INSERT INTO notice_counts (bucket, version_id, kind, state, suppression, notices)
    SELECT bucket, version_id, kind, one.state, NULL, one.notices
    FROM written CROSS JOIN LATERAL (
        VALUES (%(state)s, 1), (%(before)s, -1)) AS one (state, notices)
"""


def agree(connection: Connection) -> None:
    """Check that the sums are the numbers of notices."""
    kept = connection.execute(named("read/counts")["count_states"]).fetchall()
    assert kept == connection.execute(_COUNT.encode()).fetchall()


@settings(max_examples=settings().max_examples // 15)
@given(story=stories(rejections=True))
def test_sums_equal_the_notices_in_any_world(place: Stage, story: Sequence[Step]) -> None:
    """Planning, sending, reports, answers and deletions are counted, merged in between or not."""
    both = Both(place)
    now = story[-1].now
    with connect(place.conninfo, autocommit=True) as connection:
        for number, step in enumerate([*story, Plan(now=now), Dispatch(now=now)]):
            both.take(step)
            agree(connection)
            merge_counts(connection, 1 + number % 3)
            agree(connection)


def released(database: Database) -> None:
    """Let ten accounts have a due notice each."""
    with database.connection() as connection:
        publish(connection, draft(declares=[row("user", "essential.service")]), PublishedVersions())
        keys = add_accounts(connection, _PEOPLE)
        give_data(connection)
        refresh_holdings(connection, keys, PublishedVersions().now(connection))
        asking = draft(
            version="v2", follows="v1", declares=[row("user", "essential.service", "marketing")]
        )
        publish(connection, asking, PublishedVersions())
    run_until_idle([Planner(database)])


def flag(connection: Connection, what: Order) -> None:
    """Pause, resume or cancel the release, and give its notices the state that follows."""
    policies = PublishedVersions().now(connection)
    assert order(connection, policies, what, "campaigner", "v2")
    assert apply_flags(connection, policies, 100)


def test_merged_counts_are_few(database: Database) -> None:
    """Merging leaves one row of a state and bucket, and none of a state that nothing is in."""
    released(database)
    with database.connection() as connection:
        flag(connection, "pause")
        flag(connection, "resume")
        flag(connection, "cancel")
        merge_counts(connection, 1)
        rows = connection.execute(
            "SELECT state, suppression, sum(notices), count(DISTINCT bucket) = count(*),"
            " bool_and(merged) FROM notice_counts GROUP BY state, suppression"
        ).fetchall()
    assert rows == [("suppressed", "cancelled", 10, True, True)]


def test_merging_waits_for_no_writer(database: Database) -> None:
    """Counts of a transaction that is still running are merged after it; none is lost."""
    released(database)
    with database.connection() as writer:
        writer.execute("SET LOCAL lock_timeout = '5s'")
        flag(writer, "pause")
        with database.connection() as connection:
            connection.execute("SET LOCAL lock_timeout = '5s'")
            merge_counts(connection, 1)
        agree(writer)
    with database.connection() as connection:
        agree(connection)


def test_a_statement_that_waited_counts_what_it_changed(database: Database) -> None:
    """A notice that another transaction changed first is not counted as if it were as before."""
    released(database)
    policies = database.transaction(PublishedVersions().now)
    database.transaction(lambda c: order(c, policies, "pause", "campaigner", "v2"))
    waiting = Thread(target=lambda: database.transaction(lambda c: apply_flags(c, policies, 100)))
    with database.connection() as claim:
        keys = [
            key for (key,) in claim.execute("SELECT account_key FROM notices ORDER BY 1 LIMIT 4")
        ]
        claim.execute(_LET_GO, {"keys": keys})
        waiting.start()
        wait_until(lambda: database.transaction(_any_waits))
    waiting.join()
    with database.connection() as connection:
        agree(connection)


def test_a_deletion_that_waited_keeps_the_outcome_that_it_found(database: Database) -> None:
    """What a provider said while a deletion waited is neither overwritten nor counted twice."""
    released(database)
    with database.connection() as connection:
        connection.execute(_MOVED, {"state": "attempting", "before": "due"})
    event = AccountEvent(
        property="campaigner.example",
        account="a1",
        status="deleted",
        contact="all",
        updated_at=datetime.now(UTC),
    )
    deleting = Thread(
        target=lambda: database.transaction(
            lambda c: record_accounts(
                c, [event], PublishedVersions().now(c), lambda email: email.encode()
            )
        )
    )
    with database.connection() as outcome:
        outcome.execute(_MOVED, {"state": "accepted", "before": "attempting"})
        deleting.start()
        wait_until(lambda: database.transaction(_any_waits))
    deleting.join()
    with database.connection() as connection:
        agree(connection)
        found = connection.execute(
            "SELECT state, dead FROM notices JOIN accounts USING (bucket, account_key)"
            " WHERE account = 'a1'"
        ).fetchall()
    assert found == [("accepted", True)]


def _any_waits(connection: Connection) -> bool:
    found = connection.execute(
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database()"
    )
    return bool(found.fetchall())


@pytest.mark.parametrize("change", ["DELETE FROM notices", "TRUNCATE notices CASCADE"])
def test_notices_stay(database: Database, change: str) -> None:
    """No notice is ever removed: the counts would be wrong, and nobody could prove who was told."""
    with database.connection() as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(change.encode())
