"""A topic that is stopped on Kafka, as on the embedded bus; the group stays whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial

from reconsent.bus.kafka.lag import lag
from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.domain.bus import Consumer
from reconsent.domain.event import TOPICS
from reconsent.domain.signing import Signer
from reconsent.store.offsets import stored
from reconsent.store.postgres import Connection, connect, open_database
from reconsent.store.stops import accept, stopped_partitions
from reconsent.workers.intake import GROUP, TOO_MANY_DEAD, Intake
from reconsent.workers.stops import FIRST_PAUSE
from tests.kafka.conftest import Join
from tests.kafka.events import account, message

POISON = 6 * TOO_MANY_DEAD


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds so far."""
        return self.seconds


@contextmanager
def intake(conninfo: str, consume: Callable[[], Consumer], clock: Clock) -> Iterator[Intake]:
    """Make an intake without patience."""
    with open_database(conninfo, size=2) as database:
        hashed = Signer("secret").address_hash
        made = Intake(database, consume, hashed, patience=0, ahead=True, clock=clock)
        with closing(made):
            yield made


def drain(reader: Intake) -> None:
    """Take everything that can be taken now."""
    while reader.work():
        pass


def test_a_stopped_topic_stops_no_other(
    join: Join, topics: KafkaSettings, producer: KafkaProducer, conninfo: str
) -> None:
    """Others are read on by the same consumer; once it is accepted, the topic is too."""
    at = datetime(2026, 6, 1, tzinfo=UTC).isoformat()
    said = {"answer": "deny", "data_use": "marketing", "decided_at": at}
    usable = [account(number) for number in range(40)]
    producer.send([each._replace(value=b"{") for each in map(account, range(POISON))])
    producer.send(usable)
    opened: list[Consumer] = []

    def consume() -> Consumer:
        opened.append(join(*TOPICS, group=GROUP))
        return opened[-1]

    clock = Clock()
    with intake(conninfo, consume, clock) as reader, connect(conninfo) as connection:
        drain(reader)
        stops = stopped_partitions(connection)
        assert {stop.topic for stop in stops} == {"accounts"}
        assert reader.obstacle() is not None
        for number in range(20):
            choice = {"property": "shop.example", "account": str(number)} | said
            producer.send([message("choices", number, choice)])
            drain(reader)
        assert _count(connection, "SELECT count(*) FROM consents") == 20
        assert _lag(topics, connection)["accounts"] > TOO_MANY_DEAD
        assert _lag(topics, connection)["choices"] == 0

        _accept(connection, reader, clock)
        assert reader.obstacle() is None
        assert stopped_partitions(connection) == []
        assert set(_lag(topics, connection).values()) == {0}
        known = "SELECT count(*) FROM accounts WHERE updated_at IS NOT NULL"
        assert _count(connection, known) == len(usable)
        dead = "SELECT count(*) FROM bus_messages WHERE topic = 'accounts.dead'"
        assert _count(connection, dead) == POISON
    assert len(opened) == 1


def _accept(connection: Connection, reader: Intake, clock: Clock) -> None:
    for _ in range(20):  # partition by partition
        accept(connection, "accounts")
        connection.commit()
        clock.seconds += 100 * FIRST_PAUSE
        drain(reader)


def _count(connection: Connection, query: str) -> int:
    (found,) = connection.execute(query.encode()).fetchall()
    connection.commit()
    return int(found[0])


def _lag(topics: KafkaSettings, connection: Connection) -> dict[str, int]:
    found = lag(topics, partial(stored, connection, GROUP))
    connection.commit()
    return found
