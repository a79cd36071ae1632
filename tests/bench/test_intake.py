"""Events per second from Kafka into facts, compared with a plain poll loop over the same messages.

Also compared with a consumer that commits each event separately, and with two processes. Each is
measured several times, in turns, and the best time counts: other load only slows it down.
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

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.domain.bus import Message
from reconsent.store.postgres import open_database
from reconsent.workers import intake
from tests.bench.intake_parts import consumer, reader, warm_up
from tests.bus_contract import PARTITIONS
from tests.kafka.events import NOW, account, message

EVENTS = 40_000
ONE_BY_ONE = 400
ROUNDS = 3
BATCHES = (500, 2_000, 10_000)
DEFAULT_GC = gc.get_threshold()
PLAIN = "plain poll loop"
ONE = "new, one per transaction"

Best = dict[str, float]
"""Events per second."""

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
@pytest.mark.parametrize("topic", list(MAKERS))
def test_intake_over_kafka(
    topics: KafkaSettings,
    make_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    topic: str,
) -> None:
    """The rate for new and known facts by batch size."""
    send(topics, map(MAKERS[topic], range(EVENTS)))
    best: Best = {}
    for _ in range(ROUNDS):
        keep(best, PLAIN, EVENTS / plain_loop(topics, make_database(), topic))
        for batch in BATCHES:
            monkeypatch.setattr(intake, "BATCH", batch)
            conninfo = make_database()
            seconds = into_facts(topics, conninfo, topic)
            keep(best, f"new, batches of {batch:,}", EVENTS / seconds)
            forget_offsets(conninfo)
            seconds = into_facts(topics, conninfo, topic)
            keep(best, f"known, batches of {batch:,}", EVENTS / seconds)
        monkeypatch.setattr(intake, "BATCH", 1)
        seconds = into_facts(topics, make_database(), topic, ONE_BY_ONE)
        keep(best, ONE, ONE_BY_ONE / seconds)
    print_table(topic, best)


@pytest.mark.kafka
def test_two_processes_compared_with_one(
    topics: KafkaSettings, make_database: Callable[[], str]
) -> None:
    """One and two processes share the partitions, over the same messages."""
    send(topics, map(an_account, range(EVENTS)))
    best: Best = {}
    for _ in range(ROUNDS):
        keep(best, PLAIN, EVENTS / plain_loop(topics, make_database(), "accounts"))
        for count in (1, 2):
            conninfo = make_database()
            for what in ("new", "known"):
                seconds = in_processes(topics, conninfo, count)
                keep(best, f"{what}, processes: {count}", EVENTS / seconds)
                forget_offsets(conninfo)
    print_table("accounts", best)


def send(settings: KafkaSettings, events: Iterable[Message]) -> None:
    """Send events to the bus."""
    with closing(KafkaProducer(settings)) as producer:
        remaining = iter(events)
        while some := list(islice(remaining, 5_000)):
            producer.send(some)


def keep(best: Best, what: str, rate: float) -> None:
    """Keep the best rate of each name."""
    best[what] = max(best.get(what, 0.0), rate)


def print_table(topic: str, best: Best) -> None:
    """Print the rates and their ratios."""
    print(f"\n{topic:26} events/s      / plain loop    / one a transaction")
    for what, rate in best.items():
        one = f"{rate / best[ONE]:18.0f}" if ONE in best else ""
        print(f"{what:24} {rate:10,.0f} {rate / best[PLAIN]:18.2f} {one}")


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
    """Record this number of messages; return seconds."""
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
