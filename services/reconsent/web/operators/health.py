"""Liveness and readiness probes."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from reconsent.domain.errors import OutsideError
from reconsent.domain.times import rfc3339
from reconsent.facts.restores import held_since
from reconsent.web.access import InjectedContext
from reconsent.web.bodies import BoundedRoute

router = APIRouter(route_class=BoundedRoute)


@router.get("/healthz")
def alive() -> Response:
    """Report that the process is alive."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
def ready(context: InjectedContext) -> Response:
    """Report whether the database can be reached, and whether mail waits after a restore."""
    try:
        held = context.database.transaction(held_since)
    except OutsideError as error:
        return JSONResponse({"status": "not ready", "error": str(error)}, 503)
    if held and context.mailbox is None:
        return JSONResponse({"status": "ready", "sending_held_since": rfc3339(held)})
    return JSONResponse({"status": "ready"})
