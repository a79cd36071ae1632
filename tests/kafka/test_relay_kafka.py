"""Publishing to a real broker: compaction keeps the current state, and only one relay writes."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]

from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.bus.kafka.topics import administration, create
from reconsent.domain.bus import Message
from reconsent.domain.errors import OutsideError
from reconsent.domain.topics import LAYOUTS
from reconsent.facts.published.state import PublishedState
from reconsent.facts.sets import Cohorts
from reconsent.store.leases import SoleRight
from reconsent.workers.relay import Relay, outlets
from reconsent.workers.running import run_until_idle
from tests.integration.messages import message
from tests.integration.stage import URL, Stage, stage
from tests.model.steps import Record, Step, Tombstone

NOW = datetime(2027, 1, 1, tzinfo=UTC)
PATIENCE = 60.0
ROUNDS = 6


@pytest.fixture
def place(conninfo: str) -> Iterator[Stage]:
    """Yield a place whose facts are published."""
    with stage(conninfo) as made:
        yield made


@pytest.fixture
def topics(settings: KafkaSettings) -> KafkaSettings:
    """Make the topics, of which permissions are compacted as soon as they can be."""
    create(settings, [replace(layout, partitions=1) for layout in LAYOUTS.values()])
    eager = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"}
    with administration(settings) as admin:
        name = settings.topic_prefix + "permissions"
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, eager)])
    return settings


@pytest.mark.usefixtures("kcat")
def test_only_the_newest_of_a_name_writes(topics: KafkaSettings) -> None:
    """Once another producer has the name, the broker refuses what an earlier one sends."""
    sole = "reconsent.workers.relay.permissions"
    with (
        closing(KafkaProducer(topics, sole=sole)) as first,
        closing(KafkaProducer(topics, sole=sole)) as second,
    ):
        first.send([_message("a", b"1")])
        second.send([_message("a", b"2")])
        with pytest.raises(OutsideError):
            first.send([_message("a", b"3")])
    assert [value for _, value in _kept(topics)] == ["1", "2"]


@pytest.mark.usefixtures("kcat")
def test_what_compaction_leaves_is_the_truth(place: Stage, topics: KafkaSettings) -> None:
    """After a compaction the last value of each key is what the database says."""
    publishing = _relays(place, topics)
    accounts = ["ann", "bo", "cy"]
    for day in range(1, ROUNDS + 1):
        steps = [_collection(account, f"user.device.model{day}", day) for account in accounts[1:]]
        _publish(place, publishing, [_collection("ann", "user.contact", day), *steps])
    gone = Tombstone(now=NOW, key=("site.example", "cy"), at=datetime(2027, 2, 1, tzinfo=UTC))
    _publish(place, publishing, [gone])
    said = len(_kept(topics))
    deadline = time.monotonic() + PATIENCE
    while len(_kept(topics)) > said // 2 and time.monotonic() < deadline:
        # What is written last is never compacted: something has to follow.
        day += 1
        _publish(place, publishing, [_collection("ann", f"user.device.model{day}", day % 28 + 1)])
        said += 1
    kept = _kept(topics)
    assert len(kept) <= said // 2
    values = {name: json.loads(text or "null") for name, text in kept}
    assert values.get("site.example/cy") is None
    for account in accounts[:2]:
        held = [row["data_category"] for row in values[f"site.example/{account}"]["permissions"]]
        assert sorted(held) == _held(place, account)
    for relay in publishing:
        relay.close()


def _message(account: str, value: bytes) -> Message:
    return Message("permissions", account.encode(), value, (), NOW)


def _relays(place: Stage, topics: KafkaSettings) -> list[Relay]:
    return [
        Relay(
            place.database,
            outlet,
            SoleRight(place.conninfo, f"relay {outlet.topic}"),
            partial(KafkaProducer, topics, sole=f"reconsent.workers.relay.{outlet.topic}"),
            source=URL,
            now=place.now,
        )
        for outlet in outlets(PublishedState(Cohorts()))
    ]


def _publish(place: Stage, publishing: Sequence[Relay], steps: Sequence[Step]) -> None:
    place.producer.send([message(step) for step in steps])
    while place.intake.work():
        pass
    run_until_idle(publishing)


def _collection(account: str, category: str, day: int) -> Record:
    at = datetime(2027, 1, day, tzinfo=UTC)
    data = {
        "property": "site.example",
        "account": account,
        "data_category": category,
        "collected_under": "v1",
        "collected_at": at.isoformat(),
    }
    return Record(now=at, topic="collections", data=data, identity=f"{account} {category} {day}")


def _held(place: Stage, account: str) -> list[Any]:
    with place.database.connection() as connection:
        rows = connection.execute(
            "SELECT DISTINCT data_category"
            " FROM held_collections JOIN accounts USING (bucket, account_key) WHERE account = %s",
            (account,),
        )
        return sorted(category for (category,) in rows)


def _kept(topics: KafkaSettings) -> list[tuple[str, str | None]]:
    """Return what another client reads from `permissions`: keys and values in order."""
    servers = ",".join(topics.bootstrap_servers)
    name = topics.topic_prefix + "permissions"
    ran = subprocess.run(
        ["kcat", "-C", "-q", "-e", "-Z", "-b", servers, "-t", name, "-f", "%k\t%s\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.partition("\t") for line in ran.stdout.splitlines()]
    return [(key, None if value == "NULL" else value) for key, _, value in rows]
