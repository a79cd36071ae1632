"""From produced events to facts: the same as through the embedded bus, whatever fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial

import psycopg
import pytest

from reconsent.bus.kafka.lag import lag
from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.bus.postgres import PostgresConsumer, PostgresProducer
from reconsent.domain.bus import DEAD, Batch, Consumer, Message
from reconsent.domain.cloudevents import STRUCTURED
from reconsent.domain.event import TOPICS
from reconsent.domain.signing import Signer
from reconsent.store.offsets import stored
from reconsent.store.postgres import connect, open_database
from reconsent.workers.dead_letter_relay import GROUP as RELAY
from reconsent.workers.dead_letter_relay import DeadLetterRelay
from reconsent.workers.intake import GROUP, Intake
from tests.drafts import fields
from tests.kafka.conftest import Join
from tests.kafka.events import NOW, account, message
from tests.kafka.facts import Facts, facts

SIGNER = Signer("secret")
PATIENCE = 120.0


def story(accounts: int) -> list[Message]:
    """Make events of all inputs, in every accepted form, some of them unusable."""
    version = fields(properties=["shop.example"], effective_at="2026-01-01T00:00:00Z")
    texts = {"en": {"title": "Policy", "summary": "What changes", "body": "Words."}}
    published = json.dumps(version | {"texts": texts}).encode()
    events = [Message("policy-versions", b"campaigner", published, (), account(0).timestamp)]
    for number in range(accounts):
        of_account = {"property": "shop.example", "account": str(number)}
        collected = of_account | {
            "data_category": "user.contact.email",
            "collected_under": "v1" if number % 3 else None,
            "collected_at": NOW.isoformat(),
        }
        later = NOW + timedelta(days=1)
        events += [
            account(number, email=f"{number}@example.com"),
            message("collections", number, collected),
            account(number, at=later, email=f"{number}@example.com", name="Later \ud83d"),
            account(number, name="Earlier"),
        ]
        if number % 5 == 0:
            events.append(message("accounts", number, None))
        if number % 7 == 0:
            choice = {"answer": "deny", "data_use": "marketing", "decided_at": NOW.isoformat()}
            events.append(bare(message("choices", number, of_account | choice)))
        if number % 11 == 0:
            events.append(structured(account(number, at=later, contact="none")))
        if number % 13 == 0 and number % 5:  # what is unreadable of the deleted is erased
            events.append(account(number)._replace(value=f"poison {number}".encode()))
    return events


def bare(event: Message) -> Message:
    """Return an event as its data alone, with a type and another client's header."""
    return event._replace(headers=(("ce_type", b"reconsent.choice.v1.3"), ("trace", b"\xff")))


def structured(event: Message) -> Message:
    """Return an event as one JSON document, without a key."""
    attributes = {name.removeprefix("ce_"): text.decode() for name, text in event.headers}
    whole = attributes | {"data": json.loads(event.value or b"")}
    headers = (("content-type", STRUCTURED + b"; charset=utf-8"),)
    return event._replace(key=None, value=json.dumps(whole).encode(), headers=headers)


@pytest.fixture
def expected(make_database: Callable[[], str]) -> Callable[[Sequence[Message]], Facts]:
    """The facts after the events came once, in order, through the embedded bus."""

    def after(events: Sequence[Message]) -> Facts:
        conninfo = make_database()
        with closing(PostgresProducer(partial(connect, conninfo))) as producer:
            producer.send(events)
        with intake(conninfo, partial(embedded, conninfo, GROUP, list(TOPICS))) as reader:
            while reader.work():
                pass
        return facts(conninfo)

    return after


@contextmanager
def intake(conninfo: str, consume: Callable[[], Consumer]) -> Iterator[Intake]:
    """Make an intake without patience."""
    with open_database(conninfo, size=2) as database:
        made = Intake(database, consume, SIGNER.address_hash, patience=0, ahead=True)
        with closing(made):
            yield made


def embedded(conninfo: str, group: str, topics: list[str]) -> PostgresConsumer:
    """Join a group of the embedded bus."""
    return PostgresConsumer(partial(connect, conninfo, autocommit=True), group, topics)


def test_events_become_the_same_facts(
    join: Join,
    producer: KafkaProducer,
    conninfo: str,
    expected: Callable[[Sequence[Message]], Facts],
) -> None:
    """Facts and dead letters are those of the embedded bus; a replay changes nothing."""
    events = story(100)
    producer.send(events)
    with intake(conninfo, partial(join, *TOPICS, group=GROUP)) as reader:
        while reader.work():
            pass
        found = facts(conninfo)
        assert found == expected(events)
        producer.send([event for event in events if b"poison" not in (event.value or b"")])
        while reader.work():
            pass
    assert facts(conninfo) == found


def test_dead_letters_reach_their_topic(
    join: Join, topics: KafkaSettings, producer: KafkaProducer, conninfo: str
) -> None:
    """A dead letter has headers that say why, and the original key and value.

    Also when the relay dies between sending and recording, and also without a key.
    """
    poison = [
        account(1)._replace(value=b"{"),
        account(2)._replace(value=b"[]", key=None, headers=(("any", b"\xff"),)),
    ]
    producer.send([*poison, account(3)])
    with intake(conninfo, partial(join, *TOPICS, group=GROUP)) as reader:
        while reader.work():
            pass
    dead = [topic + DEAD for topic in TOPICS]
    open_relay = partial(embedded, conninfo, RELAY, dead)
    with open_database(conninfo, size=2) as database, closing(KafkaProducer(topics)) as onward:
        relay = DeadLetterRelay(database, open_relay, onward, patience=0)
        with closing(relay):
            while relay.work():
                pass
    consumer = join(*dead, group="others")
    letters: list[Message] = []
    while batch := consumer.poll(100, 0):
        letters += batch.messages
    assert sorted((m.topic, m.value, m.key) for m in letters) == sorted(
        (m.topic + DEAD, m.value, m.key) for m in poison
    )
    headers = [dict(letter.headers) for letter in letters]
    assert {h["dead-letter-original-topic"] for h in headers} == {b"accounts"}
    assert {h["dead-letter-exception-class"] for h in headers} == {b"BadInputError"}
    assert any(h.get("any") == b"\xff" for h in headers)


def test_a_zombie_writes_nothing(
    join: Join, producer: KafkaProducer, conninfo: str, topics: KafkaSettings
) -> None:
    """A batch that was handed out before another process took over leaves no trace."""
    producer.send([account(number)._replace(value=b"poison") for number in range(50)])
    held: list[Consumer] = []

    class Slow:
        """A consumer whose service is slow with its batch."""

        def __init__(self) -> None:
            self._inner = join("accounts", group=GROUP)

        def poll(
            self, limit: int, timeout: float, without: Collection[str] = frozenset()
        ) -> Batch | None:
            batch = self._inner.poll(limit, timeout, without)
            if not held:
                held.append(self._inner)
                self._inner.close()
                with intake(conninfo, partial(join, "accounts", group=GROUP)) as other:
                    while other.work():
                        pass
            return batch

        def put_back(self, batch: Batch) -> None:
            self._inner.put_back(batch)

        def close(self) -> None:
            self._inner.close()

    with intake(conninfo, Slow) as late:
        while late.work():
            pass
    assert held
    assert len(facts(conninfo)[-1]) == 50
    with psycopg.connect(conninfo) as connection:
        assert lag(topics, partial(stored, connection, GROUP))["accounts"] == 0
