"""For operators: is it alive, is it ready, and how much is where."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from reconsent.domain.errors import OutsideError
from reconsent.facts.read.counts import Status, status
from reconsent.store.postgres import Connection
from reconsent.telemetry import (
    CONSUMER_LAG,
    COUNTERS,
    DEAD_LETTERS,
    METRICS,
    NOTICES,
    Metric,
    exposition,
)
from reconsent.web.access import Given, authorized

router = APIRouter()


@router.get("/healthz")
def alive() -> Response:
    """Tell that the process answers."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
def ready(context: Given) -> Response:
    """Tell whether the database answers."""
    try:
        context.database.transaction(lambda connection: connection.execute("SELECT 1"))
    except OutsideError as error:
        return JSONResponse({"status": "not ready", "error": str(error)}, 503)
    return JSONResponse({"status": "ready"})


@router.get("/metrics", dependencies=[Depends(authorized)])
def metrics(context: Given) -> Response:
    """Tell the counts in Prometheus' text format."""

    def work(connection: Connection) -> Status:
        return status(connection, context.versions.now(connection), context.lags(connection))

    text = _exposed(context.database.transaction(work))
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


def _exposed(found: Status) -> str:
    gauges: dict[Metric, list[tuple[tuple[str, ...], int]]] = {
        CONSUMER_LAG: [((topic,), lag) for topic, lag in found.lags.items()],
        DEAD_LETTERS: [((topic,), waiting) for topic, waiting in found.dead_letters.items()],
        NOTICES: [
            (
                (row.policy, row.policy_version, row.kind, row.state, row.suppression or ""),
                row.notices,
            )
            for row in found.notices
        ],
    }
    return exposition(
        (metric, COUNTERS.read(metric) if metric.kind == "counter" else gauges[metric])
        for metric in METRICS
    )
