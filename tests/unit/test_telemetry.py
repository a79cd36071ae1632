"""Metrics and log events are declared once, and what is counted adds up."""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconsent.telemetry import log_events, metrics
from reconsent.telemetry.log_events import CONNECTIONS_DROPPED, SERVICE_FAILED, LogEvent, Sparingly
from reconsent.telemetry.metrics import (
    COUNTERS,
    DEAD_LETTERS,
    METRICS,
    SERVICE_RESTARTS,
    Counters,
    Metric,
    exposition,
)

ROOT = Path(__file__).parents[2]
EVENTS = [value for value in vars(log_events).values() if isinstance(value, LogEvent)]


def test_every_metric_and_event_is_declared_once() -> None:
    """Names are unique, METRICS holds every metric, and the docs name each of them."""
    declared = [value for value in vars(metrics).values() if isinstance(value, Metric)]
    assert sorted(map(repr, declared)) == sorted(map(repr, METRICS))
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert len({event.name for event in EVENTS}) == len(EVENTS)
    documented = (ROOT / "docs/interfaces.md").read_text()
    assert [metric.name for metric in METRICS if metric.name not in documented] == []


def test_nothing_else_writes_to_the_log_or_names_a_metric() -> None:
    """Log lines and metrics exist only if they are declared."""
    sources = {path: path.read_text() for path in (ROOT / "services").rglob("*.py")}
    for name in ("log_events", "metrics"):
        del sources[ROOT / f"services/reconsent/telemetry/{name}.py"]
    speaks = re.compile(r"""getLogger\(["']reconsent|# (HELP|TYPE) |["']reconsent_\w+_total""")
    assert [str(path) for path, source in sources.items() if speaks.search(source)] == []


def test_counters_lose_nothing_between_threads() -> None:
    """Each addition counts, whatever thread made it, under its own labels."""
    counters = Counters()

    def count(service: str) -> None:
        for _ in range(2_000):
            counters.add(SERVICE_RESTARTS, service=service)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, ["planner", "intake"] * 4))
    assert counters.read(SERVICE_RESTARTS) == [(("intake",), 8_000), (("planner",), 8_000)]


def test_a_counter_takes_only_the_labels_that_it_declares() -> None:
    """Another label, a missing one or a gauge is an error where it is counted."""
    with pytest.raises(ValueError, match="reconsent_service_restarts_total"):
        COUNTERS.add(SERVICE_RESTARTS, topic="accounts")
    with pytest.raises(ValueError, match="reconsent_dead_letters"):
        COUNTERS.add(DEAD_LETTERS, topic="accounts")


def test_the_exposition_escapes_label_values() -> None:
    """A quote, a backslash or a line break in a label value stays inside it."""
    text = exposition([(DEAD_LETTERS, [(('a"b\\c\nd',), 3)])])
    assert text == (
        "# HELP reconsent_dead_letters Dead letters of a topic that await a decision.\n"
        "# TYPE reconsent_dead_letters gauge\n"
        'reconsent_dead_letters{topic="a\\"b\\\\c\\nd"} 3\n'
    )


def test_an_event_that_clients_cause_is_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With how often it happened since the last line."""
    seconds = [0.0]
    dropped = Sparingly(CONNECTIONS_DROPPED, clock=lambda: seconds[0])
    for seconds[0] in (0.0, 1.0, 59.9, 60.0, 119.0, 121.0):
        dropped.log()
    times = [record.getMessage().split()[1] for record in caplog.records]
    assert times == ["1", "3", "2"]


def test_an_event_becomes_one_line_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    """The sentence is filled in by name, at the declared level; the record has the event's name."""
    SERVICE_FAILED.log(service="planner", error="KeyError: 3", pause=5)
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    line = "planner failed unexpectedly (KeyError: 3); restarting it in 5 s"
    assert record.getMessage() == line
    assert vars(record)["event"] == "service.failed"
    assert record.filename == Path(__file__).name
