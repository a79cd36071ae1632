"""For operators: is it alive, is it ready, and how much is where."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from reconsent.domain.errors import OutsideError
from reconsent.facts.read.counts import Status, status
from reconsent.store.postgres import Connection
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

    found = context.database.transaction(work)
    return PlainTextResponse(_exposed(found), media_type="text/plain; version=0.0.4")


def _exposed(found: Status) -> str:
    lines = [
        "# HELP reconsent_consumer_lag Messages of a topic that are not consumed yet.",
        "# TYPE reconsent_consumer_lag gauge",
        *(f'reconsent_consumer_lag{{topic="{topic}"}} {lag}' for topic, lag in found.lags.items()),
        "# HELP reconsent_dead_letters Messages of a topic that could not be used, and wait.",
        "# TYPE reconsent_dead_letters gauge",
        *(f'reconsent_dead_letters{{topic="{t}"}} {n}' for t, n in found.dead_letters.items()),
        "# HELP reconsent_notices Notices by policy version, kind, state and suppression.",
        "# TYPE reconsent_notices gauge",
        *(
            f'reconsent_notices{{policy="{row.policy}",policy_version="{row.policy_version}",'
            f'kind="{row.kind}",state="{row.state}",suppression="{row.suppression or ""}"}} '
            f"{row.notices}"
            for row in found.notices
        ),
    ]
    return "\n".join(lines) + "\n"
