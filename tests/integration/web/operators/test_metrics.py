"""The metrics page shows every declared metric."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from reconsent.telemetry.metrics import COUNTERS, METRICS, SERVICE_RESTARTS
from tests.integration.stage import TOKEN, Stage, stage


@pytest.fixture(name="place")
def _place(conninfo: str) -> Iterator[Stage]:
    with stage(conninfo) as place:
        yield place


def test_every_declared_metric_is_shown(place: Stage) -> None:
    """Each has its HELP and TYPE; gauges come from the database, counters from the process."""
    COUNTERS.add(SERVICE_RESTARTS, service="tests")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = place.runner.run(place.client.get("/metrics", headers=headers))
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    declared = re.findall(r"^# TYPE (\S+) (\S+)$", answer.text, re.MULTILINE)
    assert declared == [(metric.name, metric.kind) for metric in METRICS]
    assert all(f"# HELP {metric.name} {metric.meaning}\n" in answer.text for metric in METRICS)
    assert 'reconsent_consumer_lag{topic="accounts"} 0' in answer.text
    assert 'reconsent_service_restarts_total{service="tests"} 1' in answer.text
