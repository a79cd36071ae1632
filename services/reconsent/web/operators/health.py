"""Liveness and readiness probes."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from reconsent.domain.errors import OutsideError
from reconsent.web.access import InjectedContext
from reconsent.web.bodies import BoundedRoute

router = APIRouter(route_class=BoundedRoute)


@router.get("/healthz")
def alive() -> Response:
    """Report that the process is alive."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
def ready(context: InjectedContext) -> Response:
    """Report whether the database can be reached."""
    try:
        context.database.check()
    except OutsideError as error:
        return JSONResponse({"status": "not ready", "error": str(error)}, 503)
    return JSONResponse({"status": "ready"})
