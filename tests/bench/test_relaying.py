"""Publishing changes, compared with a plain producer of the same messages."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import pytest

from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.domain.bus import Message
from reconsent.facts.published.state import PublishedState
from reconsent.facts.record.publishing import publish
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.leases import SoleRight
from reconsent.store.postgres import Database
from reconsent.workers.planner import Planner
from reconsent.workers.relay import Relay, outlets
from reconsent.workers.running import collect_rarely, run_until_idle
from tests.bench.rows import seconds
from tests.bench.worlds import fill, version

ACCOUNTS = 200_000


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
def test_relay_compared_with_a_plain_producer(
    database: Database, conninfo: str, topics: KafkaSettings
) -> None:
    """All permissions and notices of a release, and the permissions after the next version."""
    fill(database, conninfo, accounts=ACCOUNTS, cohorts=7)
    draft = version("v2", "v1", "essential.service", "marketing")
    database.transaction(lambda connection: publish(connection, draft, PublishedVersions()))
    run_until_idle([Planner(database)])
    sent: list[Message] = []
    relays = [
        Relay(
            database,
            outlet,
            SoleRight(conninfo, f"relay {outlet.topic}"),
            partial(_recording, topics, f"reconsent.workers.relay.{outlet.topic}", sent),
            source="urn:bench",
            now=partial(datetime.now, UTC),
        )
        for outlet in outlets(PublishedState(Cohorts()))
    ]
    collect_rarely()
    relaying = seconds(lambda: _side_by_side(relays))
    with closing(KafkaProducer(topics)) as producer:
        plain = seconds(lambda: _send(producer, sent))
    count = len(sent)
    assert count > ACCOUNTS
    later = version("v3", "v2", "essential.service", "marketing")
    database.transaction(lambda connection: publish(connection, later, PublishedVersions()))
    again = seconds(lambda: run_until_idle(relays[:1]))
    for relay in relays:
        relay.close()
    print(
        f"\nrelay {count:,} messages: {relaying:.1f} s, {count / relaying:,.0f}/s; plain producer "
        f"{plain:.1f} s, {count / plain:,.0f}/s; ratio {plain / relaying:.2f}; after v3 "
        f"{len(sent) - count:,} of {ACCOUNTS:,} permissions in {again:.1f} s"
    )


def _side_by_side(relays: Sequence[Relay]) -> None:
    """Run each topic's relay in a separate thread, as `run` does."""
    with ThreadPoolExecutor(len(relays)) as threads:
        for done in [threads.submit(run_until_idle, [relay]) for relay in relays]:
            done.result()


def _recording(settings: KafkaSettings, sole: str, sent: list[Message]) -> Recording:
    return Recording(KafkaProducer(settings, sole=sole), sent)


def _send(producer: KafkaProducer, messages: Sequence[Message]) -> None:
    for start in range(0, len(messages), 5000):
        producer.send(messages[start : start + 5000])
