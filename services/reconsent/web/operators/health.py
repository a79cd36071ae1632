"""Liveness and readiness probes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from reconsent.domain.errors import OutsideError
from reconsent.domain.times import rfc3339
from reconsent.facts.restores import held_since
from reconsent.store.postgres import Connection
from reconsent.store.stops import StoppedPartition, by_topic, stopped_partitions
from reconsent.web.access import InjectedContext
from reconsent.web.bodies import BoundedRoute

router = APIRouter(route_class=BoundedRoute)


@router.get("/healthz")
async def alive() -> Response:
    """Report that the process is alive, without waiting for anything."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
def ready(context: InjectedContext) -> Response:
    """Report whether the database can be reached, whether mail waits, and which topics are stopped.

    Neither keeps the pages from being served.
    """

    def work(connection: Connection) -> tuple[datetime | None, list[StoppedPartition]]:
        return held_since(connection), stopped_partitions(connection)

    try:
        held, stopped = context.database.transaction(work)
    except OutsideError as error:
        return JSONResponse({"status": "not ready", "error": str(error)}, 503)
    found: dict[str, Any] = {"status": "ready"}
    if held and context.mailbox is None:
        found["sending_held_since"] = rfc3339(held)
    if stopped:
        found["stopped_topics"] = {
            topic: {"since": rfc3339(stop.stopped_at), "why": stop.reason}
            for topic, stop in by_topic(stopped).items()
        }
    return JSONResponse(found)
