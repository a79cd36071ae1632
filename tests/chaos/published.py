"""What the relay has published, compared with the output of the commands."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.domain.bus import Message
from reconsent.domain.use import Use
from reconsent.facts.ledgers import read_ledgers
from reconsent.facts.read.checks import Check
from reconsent.facts.read.ledger import ledger_json
from reconsent.facts.read.notices import Filters, list_notices
from reconsent.facts.read.permissions import Permissions
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import Policies, PublishedVersions
from reconsent.store.postgres import Connection, connect
from tests.chaos.events import checks
from tests.integration.others import lists, told

TOPICS: Final = ("notices", "consents", "permissions", "unsubscribes")
_REFUSED: Final = frozenset({"ConsentRefused", "ConsentWithdrawn"})
_UNSUBSCRIBES: Final = """
SELECT jsonb_build_object('property', property, 'account', account, 'reason', reason,
    'channel', channel, 'occurred_at', to_char(occurred_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
FROM unsubscribes JOIN accounts USING (bucket, account_key)
"""
# When everything that is published is effective.
_AT: Final = datetime(2100, 1, 1, tzinfo=UTC)
_PATIENCE: Final = 60.0

Json = dict[str, Any]
Told = dict[str, tuple[str, Any]]


def assert_published(settings: KafkaSettings, conninfo: str) -> None:
    """Fail if the topics differ from the database once everything has been published."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        said = {topic: told(messages) for topic, messages in _read(settings).items()}
        try:
            _compare(said, conninfo)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return


def _read(settings: KafkaSettings) -> dict[str, list[Message]]:
    """Read the relay's topics from their beginning, as any consumer does."""
    names = {settings.topic_prefix + topic: topic for topic in TOPICS}
    read: dict[str, list[Message]] = {topic: [] for topic in TOPICS}
    consumer = KafkaConsumer(
        **settings.client, isolation_level="read_committed", enable_auto_commit=False
    )
    try:
        places = [TopicPartition(name, 0) for name in names]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        consumer.seek_to_beginning(*places)
        while any(consumer.position(place) < ends[place] for place in places):
            for place, records in consumer.poll(timeout_ms=200).items():
                topic = names[place.topic]
                read[topic] += [
                    Message(topic, record.key, record.value, tuple(record.headers), _AT)
                    for record in records
                ]
    finally:
        consumer.close()
    return read


def _compare(said: dict[str, Told], conninfo: str) -> None:
    with connect(conninfo) as connection:
        policies = PublishedVersions().now(connection)
        listed = list_notices(connection, Cohorts(), policies, Filters())
        assert {name: row for name, (_, row) in said["notices"].items()} == {
            row["notice"]: row for row in listed
        }
        entries = _entries(connection, policies)
        found: dict[str, Counter[str]] = {}
        for name, entry in said["consents"].values():
            found.setdefault(name, Counter())[_text(entry)] += 1
        assert found == {name: Counter(map(_text, rows)) for name, rows in entries.items() if rows}
        rows = connection.execute(_UNSUBSCRIBES).fetchall()
        assert Counter(_text(leaving) for _, leaving in said["unsubscribes"].values()) == Counter(
            _text(leaving) for (leaving,) in rows
        )
        permissions = dict(said["permissions"].values())
        assert permissions.keys() == entries.keys()
        _compare_permissions(connection, policies, permissions, entries)


def _compare_permissions(
    connection: Connection,
    policies: Policies,
    permissions: dict[str, Any],
    entries: dict[str, list[Json]],
) -> None:
    # Of what was refused in part, the rest is listed only as far as it has been named.
    refusing = {
        name for name, rows in entries.items() if any(r["event_state"] in _REFUSED for r in rows)
    }
    questions = [
        Check.model_validate(check)
        for check in checks()
        if f"{check['property']}/{check['account']}" in permissions
    ]
    fields = [question.model_dump() for question in questions]
    answers = Permissions(Cohorts()).answer(connection, fields, policies, _AT)
    for question, given in zip(questions, map(json.loads, answers), strict=True):
        name = f"{question.property}/{question.account}"
        value = permissions[name]
        if given["reason"] == "account_deleted":
            assert value is None, name
        elif value is not None and lists(value, _use(question), _AT):
            assert given["allowed"], (question, value)
        elif given["allowed"] and name not in refusing:
            assert not _held(value, question), (question, value)


def _entries(connection: Connection, policies: Policies) -> dict[str, list[Json]]:
    """Return each account's ledger, by its name."""
    rows = connection.execute("SELECT account_key, property, account FROM accounts").fetchall()
    found = read_ledgers(connection, [row[0] for row in rows], policies)
    return {
        f"{row[1]}/{row[2]}": ledger_json(connection, row[0], found[row[0]])
        if row[0] in found
        else []
        for row in rows
    }


def _use(question: Check) -> Use:
    return Use(
        question.data_category,
        question.collected_under,
        question.data_use,
        question.recipient or "",
    )


def _held(value: Json | None, question: Check) -> bool:
    """Tell whether a question is about data that the account holds, or a part of it."""
    held: Sequence[Json] = value["permissions"] if value else ()
    return any(
        one["collected_under"] == question.collected_under
        and f"{question.data_category}.".startswith(f"{one['data_category']}.")
        for one in held
    )


def _text(entry: Json) -> str:
    return json.dumps(entry, sort_keys=True)
