"""Pausing and cancelling while mails are claimed."""

from __future__ import annotations

from threading import Thread

import pytest

from reconsent.facts.record.publishing import publish
from reconsent.facts.sending.releases import apply_flags, order
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Connection, Database, connect
from tests.drafts import draft
from tests.embedded_programs import wait_until

_CLAIM = (
    "UPDATE notices SET state = 'attempting', attempt_id = 1, rendering = 'r', address_hash = ''"
)
_WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'FROM notices'"


def applied(connection: Connection) -> bool:
    """Apply the flags of all releases."""
    return apply_flags(connection, PublishedVersions().now(connection), 10)


@pytest.mark.parametrize("what", ["pause", "cancel"])
def test_a_notice_that_is_claimed_meanwhile_stays_claimed(
    database: Database, conninfo: str, what: str
) -> None:
    """A mail on its way is not marked as unsent: it would be sent again, or its outcome be lost."""
    with database.connection() as connection:
        publish(connection, draft(), PublishedVersions())
        connection.execute(
            "INSERT INTO notices (bucket, account_key, version_id, sequence, notice_id, kind,"
            " state, ask_id) SELECT 1, 1, version_id, 1, gen_random_uuid(), 'information', 'due', 0"
            " FROM policy_versions"
        )
        policies = PublishedVersions().now(connection)
        connection.execute(
            "INSERT INTO attempts (attempt_id, provider, lease, members, payload_hash)"
            " VALUES (1, 't', 1, 1, '')"
        )
    with connect(conninfo) as claim, connect(conninfo, autocommit=True) as watching:
        claim.execute(_CLAIM)
        with database.connection() as connection:
            assert order(connection, policies, what, "campaigner", "v1")  # type: ignore[arg-type]
        applying = Thread(target=lambda: database.transaction(applied))
        applying.start()
        wait_until(lambda: watching.execute(_WAITING).fetchall())
        claim.commit()
        applying.join()
        rows = watching.execute("SELECT state, suppression FROM notices").fetchall()
    assert rows == [("attempting", None)]
