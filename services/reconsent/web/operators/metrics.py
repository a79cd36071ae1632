"""Metrics for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from reconsent.facts.read.counts import Status, status
from reconsent.store.postgres import Connection
from reconsent.telemetry.metrics import (
    CONSUMER_LAG,
    COUNTERS,
    DEAD_LETTERS,
    EARLY_EVENTS,
    METRICS,
    NOTICES,
    REPORTS_NOT_OURS,
    TOPICS_STOPPED,
    Metric,
    exposition,
)
from reconsent.web.access import AuthorizedRoute, InjectedContext

router = APIRouter(route_class=AuthorizedRoute)


@router.get("/metrics")
def metrics(context: InjectedContext) -> Response:
    """Return all metrics in the Prometheus text format."""

    def work(connection: Connection) -> Status:
        return status(connection, context.versions.now(connection), context.lags(connection))

    text = _exposed(context.database.transaction(work))
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


def _exposed(found: Status) -> str:
    gauges: dict[Metric, list[tuple[tuple[str, ...], int]]] = {
        CONSUMER_LAG: [((topic,), lag) for topic, lag in found.lags.items()],
        DEAD_LETTERS: [((topic,), waiting) for topic, waiting in found.dead_letters.items()],
        TOPICS_STOPPED: [
            ((topic,), int(any(topic == stop.topic for stop in found.stopped)))
            for topic in found.dead_letters
        ],
        REPORTS_NOT_OURS: [((), found.not_ours)],
        NOTICES: [
            (
                (row.policy, row.policy_version, row.kind, row.state, row.suppression or ""),
                row.notices,
            )
            for row in found.notices
        ],
        EARLY_EVENTS: [((row.topic, row.source), row.statements) for row in found.early],
    }
    return exposition(
        (metric, COUNTERS.read(metric) if metric.kind == "counter" else gauges[metric])
        for metric in METRICS
    )
