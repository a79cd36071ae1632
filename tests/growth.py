"""A database with many accounts in which every service has caught up, and the services on it.

Every kind of notice that waits for something is there, in proportion to the accounts: reminders
whose day it is, mails deferred and unknown, addresses to be forgotten, a paused release.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from reconsent.bus.postgres import PostgresConsumer
from reconsent.domain.bus import DEAD
from reconsent.domain.event import TOPICS
from reconsent.domain.signing import Signer
from reconsent.facts.published.state import PublishedState
from reconsent.facts.record.publishing import publish
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.leases import Lease, SoleRight
from reconsent.store.postgres import Connection, Database, connect
from reconsent.workers.dead_letter_relay import GROUP as DEAD_LETTERS
from reconsent.workers.dead_letter_relay import DeadLetterRelay
from reconsent.workers.dispatcher import Dispatcher
from reconsent.workers.intake import GROUP, Intake
from reconsent.workers.planner import Planner
from reconsent.workers.relay import Relay, outlets
from reconsent.workers.scheduler import Scheduler
from reconsent.workers.service import Service
from tests.drafts import draft, row
from tests.integration.others import Others
from tests.integration.stage import SENDER, URL, Mailbox

NOW: Final = datetime(2027, 6, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_NOTICE: Final = {"respond_by": "P30D", "reminders": ["P7D", "P14D"]}

_HOLDINGS: Final = """
INSERT INTO holdings (holdings_id, members, digest)
SELECT set_id(members), members, sha256('tests')
FROM (VALUES (jsonb '[["user.contact.email", "v1"]]')) AS made (members)
RETURNING holdings_id
"""
_ASK: Final = """
INSERT INTO asks (ask_id, members, digest)
SELECT set_id(members), members, sha256('tests')
FROM (VALUES (jsonb '[["user.contact.email", "v1", "marketing", "example"]]')) AS made (members)
RETURNING ask_id
"""
# The remainder of an account's number by 20 decides what waits for it; see _NOTICES.
_ACCOUNTS: Final = """
WITH added AS (
    INSERT INTO accounts (bucket, account_key, property, account, status, email, address_hash,
                          updated_at, deleted_at)
    SELECT bucket, nextval('account_numbers') << 6 | bucket, property, account,
       CASE WHEN deleted THEN 'deleted' ELSE 'active' END,
       CASE WHEN NOT deleted THEN n || '@example.org' END,
       CASE WHEN NOT deleted THEN sha256(n::text::bytea) END,
       %(now)s::timestamptz - interval '50 days',
       CASE WHEN deleted THEN %(now)s::timestamptz - interval '1 day' END
    FROM generate_series(1, %(size)s) AS n
    CROSS JOIN LATERAL (
        SELECT n %% 20 IN (10, 11, 12), 'account-' || n,
               CASE WHEN n %% 20 = 18 THEN 'paused.example' ELSE 'shop.example' END
    ) AS facts (deleted, account, property)
    CROSS JOIN LATERAL bucket_of_name(property, account) AS bucket
    RETURNING bucket, account_key, status
)
INSERT INTO account_sets (bucket, account_key, holdings_id)
SELECT bucket, account_key, CASE WHEN status = 'deleted' THEN 0 ELSE %(holdings_id)s END FROM added
"""
_ATTEMPTS: Final = """
INSERT INTO attempts (attempt_id, provider, lease, members, payload_hash, started_at, ended_at,
                      outcome)
SELECT n, 'tests', 1, 1000, '', started_at, started_at, 'accepted=1000'
FROM generate_series(1, greatest(2, %(size)s / 500)) AS n
CROSS JOIN LATERAL (
    SELECT %(now)s::timestamptz - CASE WHEN n <= %(size)s / 1000 THEN interval '41 days'
                                       ELSE interval '1 hour' END + n * interval '1 ms'
) AS times (started_at)
"""
_NOTICES: Final = """
INSERT INTO notices (bucket, account_key, version_id, sequence, notice_id, kind, state, suppression,
                     ask_id, settled, undelivered, undelivered_at, dead, attempt_id, rendering,
                     address_hash, accepted_at, not_before, reminded)
SELECT bucket, account_key, version_id, 1,
       notice_id(published, stem, mask, account_key, property, account, 1), 'choice',
       waiting.state, waiting.suppression, %(ask_id)s, waiting.settled,
       waiting.state = 'bounced',
       CASE WHEN waiting.state = 'bounced' THEN %(now)s::timestamptz - interval '1 day' END,
       status = 'deleted',
       CASE WHEN waiting.recent THEN %(size)s / 1000 + 1 ELSE 1 END
           + (account_key >> 6) %% (%(size)s / 1000),
       'r',
       CASE WHEN (account_key >> 6) %% 20 <> 10 THEN sha256(account_key::text::bytea) END,
       %(now)s::timestamptz - waiting.since + (account_key >> 6) %% 1000 * interval '1 second',
       CASE WHEN (account_key >> 6) %% 20 = 14 THEN %(now)s::timestamptz + interval '1 hour' END,
       waiting.reminded
FROM accounts JOIN (VALUES
    -- Mailed 7 days ago and reminded today; mailed yesterday.
    (0, 'shop', 'accepted', NULL, NULL, interval '7 days 6 hours', 1, false),
    (1, 'shop', 'delivered', NULL, NULL, '7 days 6 hours', 1, false),
    (2, 'shop', 'delivered', NULL, NULL, '7 days 6 hours', 1, false),
    (3, 'shop', 'delivered', NULL, NULL, '7 days 6 hours', 1, false),
    (4, 'shop', 'delivered', NULL, NULL, '1 day', 0, false),
    (5, 'shop', 'delivered', NULL, NULL, '1 day', 0, false),
    (6, 'shop', 'delivered', NULL, NULL, '1 day', 0, false),
    (7, 'shop', 'delivered', NULL, NULL, '1 day', 0, false),
    -- Long overdue: answered, expired, undelivered, deleted.
    (8, 'shop', 'delivered', NULL, 'answered', '40 days', 2, false),
    (19, 'shop', 'delivered', NULL, 'expired', '40 days', 2, false),
    (9, 'shop', 'bounced', NULL, NULL, '40 days', 2, false),
    (10, 'shop', 'accepted', NULL, 'void', '40 days', 0, false),
    -- Deleted, with an address to be forgotten later.
    (11, 'shop', 'accepted', NULL, 'void', '5 days', 0, false),
    (12, 'shop', 'rejected', NULL, 'void', NULL, 0, true),
    -- Unknown since an hour; deferred for another one; suppressed; held back.
    (13, 'shop', 'unknown', NULL, NULL, NULL, 0, true),
    (14, 'shop', 'due', NULL, NULL, NULL, 0, true),
    (15, 'shop', 'suppressed', 'all_comms_opt_out', NULL, NULL, 0, false),
    (16, 'shop', 'suppressed', 'no_address', NULL, NULL, 0, false),
    (17, 'shop', 'suppressed', 'minor', NULL, NULL, 0, false),
    (18, 'paused', 'planned', NULL, NULL, NULL, 0, false)
) AS waiting (remainder, policy, state, suppression, settled, since, reminded, recent)
  ON waiting.remainder = (account_key >> 6) %% 20
JOIN policy_versions AS latest ON latest.version = 'v2' AND latest.policy = waiting.policy
JOIN notice_stems USING (version_id)
"""
_REMINDERS: Final = """
INSERT INTO notices (bucket, account_key, version_id, sequence, notice_id, kind, state, ask_id,
                     attempt_id, rendering, address_hash, accepted_at, about, occasion)
SELECT bucket, account_key, version_id, 2,
       notice_id(published, stem, mask, account_key, property, account, 2), 'reminder',
       'delivered', ask_id, attempt_id, rendering, notices.address_hash,
       %(now)s::timestamptz - interval '6 hours', notice_id, 1
FROM notices JOIN accounts USING (bucket, account_key) JOIN notice_stems USING (version_id)
WHERE reminded = 1
"""
# Of the version before, never sent.
_OVERTAKEN: Final = """
INSERT INTO notices (bucket, account_key, version_id, sequence, notice_id, kind, state, ask_id)
SELECT bucket, account_key, version_id, 1,
       notice_id(published, stem, mask, account_key, property, account, 1), 'information', 'due', 0
FROM accounts CROSS JOIN notice_stems
WHERE (account_key >> 6) %% 20 IN (4, 15)
  AND version_id = (SELECT min(version_id) FROM policy_versions)
"""
_CAUGHT_UP: Final = (
    """INSERT INTO notice_counts
       SELECT bucket, version_id, kind, state, suppression, count(*), true
       FROM notices GROUP BY bucket, version_id, kind, state, suppression""",
    """INSERT INTO followers
       SELECT bucket, 'relay ' || topic, stream, '0', 0
       FROM buckets CROSS JOIN (VALUES ('permissions', 'accounts'), ('consents', 'accounts'),
                    ('consents', 'consents'), ('notices', 'accounts'), ('notices', 'notices'),
                    ('unsubscribes', 'unsubscribes')) AS follows (topic, stream)""",
    """UPDATE followers SET changed = pg_current_xact_id(), account_key = 10::bigint ^ 18""",
    """DELETE FROM planning_progress""",
    """INSERT INTO relay_sweeps (bucket, topic, version_id, done)
       SELECT bucket, topic, version_id, true
       FROM buckets, policy_versions,
            unnest(ARRAY['permissions', 'consents', 'notices']) AS topic""",
    """UPDATE releases SET state = 'sending'""",
    """UPDATE releases SET paused_at = now() WHERE version_id IN (
           SELECT version_id FROM policy_versions WHERE policy = 'paused')""",
)


def fill(database: Database, size: int) -> None:
    """Make the accounts, at least 1,000, and their notices."""
    with database.connection() as connection:
        for policy in ("shop", "paused"):
            _publish(connection, policy, "v1", None, "essential.service")
            _publish(connection, policy, "v2", "v1", "essential.service", "marketing")
        [(holdings_id,)] = connection.execute(_HOLDINGS.encode()).fetchall()
        [(ask_id,)] = connection.execute(_ASK.encode()).fetchall()
        values = {"size": size, "now": NOW, "holdings_id": holdings_id, "ask_id": ask_id}
        for statement in (_ACCOUNTS, _ATTEMPTS, _NOTICES, _REMINDERS, _OVERTAKEN):
            connection.execute(statement.encode(), values)
        for statement in _CAUGHT_UP:
            connection.execute(statement.encode())
    with database.connection() as connection:
        connection.execute("ANALYZE")


def _publish(
    connection: Connection, policy: str, version: str, follows: str | None, *uses: str
) -> None:
    made = draft(
        policy=policy,
        version=version,
        follows=follows,
        effective_at="2026-01-01T00:00:00Z",
        properties=[f"{policy}.example"],
        declares=[row("user", *uses)],
        notice=_NOTICE,
    )
    publish(connection, made, PublishedVersions())


def _relays(database: Database, conninfo: str) -> dict[str, Service]:
    return {
        f"relay of {outlet.topic}": Relay(
            database,
            outlet,
            SoleRight(conninfo, f"relay {outlet.topic}"),
            Others,
            source="urn:tests",
            now=lambda: NOW,
        )
        for outlet in outlets(PublishedState(Cohorts()))
    }


@contextmanager
def services(database: Database, conninfo: str) -> Iterator[dict[str, Service]]:
    """Yield one of each service, the relay once a topic."""
    with ExitStack() as resources:
        lease = Lease(conninfo)
        resources.callback(lease.close)
        consumer = partial(PostgresConsumer, partial(connect, conninfo, autocommit=True))
        signer = Signer("secret of the tests")
        made: dict[str, Service] = {
            "planner": Planner(database),
            "dispatcher": Dispatcher(
                database,
                lease,
                Mailbox(),
                signer,
                public_url=URL,
                sender=SENDER,
                now=lambda: NOW,
            ),
            "scheduler": Scheduler(
                database, lambda: NOW, delivery="at_most_once", settle_after=_DAY
            ),
            "intake": Intake(database, partial(consumer, GROUP), signer.address_hash, patience=0),
            "dead-letter relay": DeadLetterRelay(
                database,
                partial(consumer, DEAD_LETTERS, [topic + DEAD for topic in TOPICS]),
                Others(),
                patience=0,
            ),
        }
        made |= _relays(database, conninfo)
        for service in made.values():
            resources.callback(service.close)
        yield made
