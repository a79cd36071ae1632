"""Events per second from Kafka into facts: new ones beside import, known ones beside a plain loop.

The plain loop polls the same messages with the library's consumer, configured like ours.
"""

# ruff: noqa: SLF001 -- measures internal parts
from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.domain.bus import Message
from reconsent.store.postgres import Database, open_database
from tests.bench.intake_parts import consumer, reader, warm_up
from tests.bench.rows import TIMES, Row, Table
from tests.bench.test_importing import import_events, make_floor, measure_import, write_events
from tests.bus_contract import PARTITIONS
from tests.kafka.events import NOW, account, message

EVENTS: Final = 100_000
DEFAULT_GC = gc.get_threshold()
_IMPORT: Final = "import of the same facts"
_PLAIN: Final = "plain kafka-python poll loop"
_ROWS: Final = tuple(
    (
        topic,
        Row(name=f"intake-{topic}", path=f"intake of new {topic}", floor=_IMPORT, least=0.8),
        Row(
            name=f"intake-known-{topic}",
            path=f"intake of known {topic}",
            floor=_PLAIN,
            least=0.5,
        ),
    )
    for topic in ("accounts", "collections")
)
_PROCESSES: Final = Row(
    name="intake-processes", path="intake of new accounts, two processes", floor="one process"
)

SITE = "shop.example"


def an_account(number: int) -> Message:
    """Make an account event."""
    return account(number, email=f"{number}@example.com", locale="en")


def a_collection(number: int) -> Message:
    """Make a collection event."""
    data = {
        "property": SITE,
        "account": str(number),
        "data_category": "user.contact.email",
        "collected_under": "v1",
        "collected_at": NOW.isoformat(),
    }
    return message("collections", number, data)


MAKERS = {"accounts": an_account, "collections": a_collection}


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("topic", "new", "known"),
    [pytest.param(*row, marks=pytest.mark.rows(row[1].name, row[2].name)) for row in _ROWS],
)
def test_intake(
    topics: KafkaSettings,
    make_database: Callable[[], str],
    tmp_path: Path,
    table: Table,
    topic: str,
    new: Row,
    known: Row,
) -> None:
    """New facts, and the same again."""
    send(topics, map(MAKERS[topic], range(EVENTS)))
    times: dict[str, list[float]] = {"new": [], "known": [], "plain": [], "import": []}
    for _ in range(TIMES):
        times["plain"].append(plain_loop(topics, make_database(), topic))
        conninfo = prepared(make_database(), topic, tmp_path)
        times["new"].append(into_facts(topics, conninfo, topic))
        forget_offsets(conninfo)
        times["known"].append(into_facts(topics, conninfo, topic))
        with open_database(make_database()) as database:
            if topic == "collections":
                import_events(database, "accounts", write_events("accounts", tmp_path, 0, EVENTS))
            make_floor(database, topic)
            times["import"].append(measure_import(database, topic, tmp_path, 0, EVENTS)[0])
    table.add(new, items=EVENTS, path=times["new"], floor=times["import"])
    table.add(known, items=EVENTS, path=times["known"], floor=times["plain"])


def prepared(conninfo: str, topic: str, folder: Path) -> str:
    """Import the accounts that events of a topic are about; return the database's conninfo."""
    if topic == "collections":
        file = folder / "their_accounts.ndjson"
        lines = ((an_account(number).value or b"") + b"\n" for number in range(EVENTS))
        file.write_bytes(b"".join(lines))
        with open_database(conninfo) as database:
            import_events(database, "accounts", file)
    return conninfo


def measure_intake(
    database: Database, conninfo: str, topics: KafkaSettings, folder: Path, *, first: int
) -> tuple[list[float], list[float]]:
    """Take in new accounts, numbered from `first` on, and import as many others, in turns.

    Nothing has been taken in from these topics. Returns the seconds of both.
    """
    taken_in, imported = [], []
    make_floor(database, "accounts")
    for turn in range(1, TIMES + 1):
        start = first + (turn - 1) * EVENTS
        send(topics, map(an_account, range(start, start + EVENTS)))
        taken_in.append(into_facts(topics, conninfo, "accounts", turn * EVENTS))
        imported.append(measure_import(database, "accounts", folder, start, EVENTS)[0])
    return taken_in, imported


@pytest.mark.kafka
@pytest.mark.rows("intake-processes")
def test_two_processes(
    topics: KafkaSettings, make_database: Callable[[], str], table: Table
) -> None:
    """One and two processes share the partitions, over the same messages."""
    send(topics, map(an_account, range(EVENTS)))
    one, two = (
        [in_processes(topics, make_database(), count) for _ in range(TIMES)] for count in (1, 2)
    )
    table.add(_PROCESSES, items=EVENTS, path=two, floor=one)


def send(settings: KafkaSettings, events: Iterable[Message]) -> None:
    """Send events to the bus."""
    with closing(KafkaProducer(settings)) as producer:
        remaining = iter(events)
        while some := list(islice(remaining, 5_000)):
            producer.send(some)


def plain_loop(settings: KafkaSettings, conninfo: str, topic: str) -> float:
    """Poll the library's consumer, configured like ours, for all messages; return seconds."""
    with closing(consumer(settings, conninfo, topic)) as ours:
        warm_up(ours, PARTITIONS)
        # Python's default, whatever was measured before.
        gc.set_threshold(*DEFAULT_GC)
        left = EVENTS
        began = time.perf_counter()
        while left > 0:
            found = ours._client.poll(timeout_ms=1000, max_records=10_000)
            left -= sum(len(records) for records in found.values())
        return time.perf_counter() - began


def into_facts(settings: KafkaSettings, conninfo: str, topic: str, events: int = EVENTS) -> float:
    """Record messages, up to this number since the first; return seconds."""
    with (
        open_database(conninfo, size=2) as database,
        closing(consumer(settings, conninfo, topic)) as ours,
    ):
        warm_up(ours, PARTITIONS)
        with closing(reader(database, ours)) as intake_:
            began = time.perf_counter()
            while sum(held.position for held in ours._partitions.held.values()) < events:
                intake_.work()
            # Returns when the last batch is recorded.
            intake_.close()
            return time.perf_counter() - began


def in_processes(settings: KafkaSettings, conninfo: str, count: int) -> float:
    """Record all messages in this number of processes; return seconds."""
    program = [sys.executable, "-m", "tests.bench.intake_process", *settings.bootstrap_servers]
    program += [settings.topic_prefix, conninfo, "accounts", str(PARTITIONS // count)]
    with ExitStack() as stack, psycopg.connect(conninfo) as gate:
        # No process takes over a partition before all have joined.
        gate.execute("LOCK TABLE consumer_offsets")
        running = [
            stack.enter_context(
                subprocess.Popen(
                    program,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    pass_fds=descriptors(conninfo),
                )
            )
            for _ in range(count)
        ]
        for process in running:
            assert next_line(process) == "ready"
        began = time.perf_counter()
        gate.commit()
        for process in running:
            assert next_line(process) == "done"
        seconds = time.perf_counter() - began
        for process in running:
            assert process.stdin
            process.stdin.close()
        return seconds


def descriptors(conninfo: str) -> list[int]:
    """Return the descriptors that a process needs to reach a database; an embedded one has one."""
    _, embedded, number = str(conninfo_to_dict(conninfo)["host"]).rpartition("/proc/self/fd/")
    return [int(number)] if embedded else []


def next_line(process: subprocess.Popen[str]) -> str:
    """Return the next line of a process's output."""
    assert process.stdout
    return process.stdout.readline().strip()


def forget_offsets(conninfo: str) -> None:
    """Forget the offsets, so that everything is consumed again."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("DELETE FROM consumer_offsets")
