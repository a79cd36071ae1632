"""Publishing changes, beside a bare producer of the same messages."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import kafka  # type: ignore[import-untyped]
import psycopg
import pytest

from reconsent.bus.kafka.client import open_client
from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.domain.bus import Message
from reconsent.domain.use import Use
from reconsent.facts.changes import begin_following
from reconsent.facts.published.state import PublishedState
from reconsent.facts.record.publishing import publish
from reconsent.facts.sets import Cohorts, ask_ids
from reconsent.facts.versions import PublishedVersions
from reconsent.store.leases import SoleRight
from reconsent.store.postgres import Connection, Database
from reconsent.workers.relay import Outlet, Relay, outlets
from reconsent.workers.running import collect_rarely, run_until_idle
from tests.bench.rows import TIMES, Row, Table, memory, seconds
from tests.bench.worlds import add, fill, vacuum, version

ACCOUNTS: Final = 100_000
_ROW: Final = Row(
    name="relay",
    path="relay, permissions and notices side by side",
    floor="bare kafka-python producer of the same messages",
    least=0.7,
)
# A sweep has gone through all accounts.
_SWEPT: Final = """
INSERT INTO relay_sweeps (bucket, topic, version_id, done)
SELECT bucket, topic, version_id, true
FROM buckets, policy_versions, (VALUES ('permissions'), ('notices')) AS topics (topic)
ON CONFLICT (bucket, topic, version_id) DO UPDATE SET done = true
"""
_ADDED: Final = """
CREATE TEMPORARY TABLE added AS
SELECT bucket, account_key FROM accounts
WHERE account = ANY(SELECT 'account-' || n FROM generate_series(%(first)s, %(last)s::bigint) AS n)
"""
_PLANNED: Final = """
INSERT INTO notices (bucket, account_key, version_id, sequence, notice_id, kind, state, ask_id)
SELECT bucket, account_key, version_id, 1,
       notice_id(published, stem, mask, account_key, property, account, 1), 'choice', 'due',
       %(ask_id)s
FROM added JOIN accounts USING (bucket, account_key)
CROSS JOIN (SELECT max(version_id) AS version_id FROM policy_versions) AS latest
JOIN notice_stems USING (version_id)
"""
# The accounts added have just changed, and nothing of them has been published.
_UNPUBLISHED_PERMISSIONS: Final = """
DELETE FROM relayed_permissions USING added
WHERE relayed_permissions.bucket = added.bucket AND item = account_key
"""
_UNPUBLISHED_NOTICES: Final = """
DELETE FROM relayed_notices USING added JOIN notices USING (bucket, account_key)
WHERE relayed_notices.bucket = added.bucket AND item = notice_id
"""
_CHANGED: Final = """
INSERT INTO changes (bucket, stream, changed, account_key)
SELECT bucket, stream, pg_current_xact_id(), account_key
FROM added CROSS JOIN (VALUES ('accounts'), ('notices')) AS streams (stream)
"""


class Recording:
    """A producer that records what it sends."""

    def __init__(self, producer: KafkaProducer, sent: list[Message]) -> None:
        """Send over another producer."""
        self._producer = producer
        self._sent = sent

    def send(self, messages: Sequence[Message]) -> None:
        """Send and record all messages."""
        self._producer.send(messages)
        self._sent += messages

    def close(self) -> None:
        """Close the other producer."""
        self._producer.close()


@pytest.mark.kafka
@pytest.mark.rows("relay")
def test_relaying(database: Database, conninfo: str, topics: KafkaSettings, table: Table) -> None:
    """Permissions and notices of accounts in seven cohorts."""
    fill(database, conninfo, accounts=0, cohorts=7)
    draft = version("v2", "v1", "essential.service", "marketing")
    database.transaction(lambda connection: publish(connection, draft, PublishedVersions()))
    relaying, plain = measure_relaying(database, conninfo, topics, first=1)
    note = f"{memory():,.0f} MB"
    table.add(_ROW, items=2 * ACCOUNTS, path=relaying, floor=plain, note=note)


def measure_relaying(
    database: Database, conninfo: str, topics: KafkaSettings, *, first: int
) -> tuple[list[float], list[float]]:
    """Add accounts with a notice each, numbered from `first` on, and publish them several times.

    The database was filled by `fill`, and has a version v2. Returns the seconds that relays took,
    and those of a bare producer.
    """
    collect_rarely()
    sent: list[Message] = []
    published = {one.topic: one for one in outlets(PublishedState(Cohorts()))}
    relays = [
        _relay(database, conninfo, topics, published[name], sent)
        for name in ("permissions", "notices")
    ]
    relaying, plain = [], []
    with psycopg.connect(conninfo, autocommit=True) as connection:
        with database.connection() as other:
            add(other, first, first + ACCOUNTS - 1)
        connection.execute(_ADDED, {"first": first, "last": first + ACCOUNTS - 1})
        ask = frozenset({Use("user", "v1", "marketing", "example")})
        connection.execute(_PLANNED, {"ask_id": ask_ids(connection, [ask])[ask]})
        _follow(connection, [published["permissions"], published["notices"]])
        for _ in range(TIMES):
            with connection.transaction():
                connection.execute(_UNPUBLISHED_PERMISSIONS)
                connection.execute(_UNPUBLISHED_NOTICES)
                connection.execute(_CHANGED)
            vacuum(conninfo)
            sent.clear()
            relaying.append(seconds(lambda: _side_by_side(relays)))
            assert len(sent) == 2 * ACCOUNTS
            plain.append(_send_plainly(topics, sent))
    for relay in relays:
        relay.close()
    return relaying, plain


def _relay(
    database: Database,
    conninfo: str,
    topics: KafkaSettings,
    outlet: Outlet,
    sent: list[Message],
) -> Relay:
    sole = f"reconsent.workers.relay.{outlet.topic}"
    return Relay(
        database,
        outlet,
        SoleRight(conninfo, f"relay {outlet.topic}"),
        lambda: Recording(KafkaProducer(topics, sole=sole), sent),
        source="urn:bench",
        now=partial(datetime.now, UTC),
    )


def _follow(connection: Connection, published: Sequence[Outlet]) -> None:
    """Have relays follow the log from now on, as if they had published all accounts there are."""
    for outlet in published:
        begin_following(connection, outlet.follower, outlet.follows)
    connection.execute(_SWEPT)


def _side_by_side(relays: Sequence[Relay]) -> None:
    """Run each topic's relay in a separate thread, as `run` does."""
    with ThreadPoolExecutor(len(relays)) as threads:
        for done in [threads.submit(run_until_idle, [relay]) for relay in relays]:
            done.result()


def _send_plainly(settings: KafkaSettings, messages: Sequence[Message]) -> float:
    """Return how long kafka-python takes by itself, with the settings that producers have here."""
    producer: Any = open_client(
        kafka.KafkaProducer,
        settings,
        acks="all",
        enable_idempotence=True,
        batch_size=256 * 1024,
        linger_ms=5,
        metrics_enabled=False,
    )

    def send() -> None:
        for message in messages:
            producer.send(
                settings.topic_prefix + message.topic,
                key=message.key,
                value=message.value,
                headers=list(message.headers),
                timestamp_ms=round(message.timestamp.timestamp() * 1000),
            )
        producer.flush()

    with closing(producer):
        producer.partitions_for(settings.topic_prefix + messages[0].topic)
        return seconds(send)
