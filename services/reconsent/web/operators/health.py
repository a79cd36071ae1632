"""For operators: is it alive, and is it ready."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from reconsent.domain.errors import OutsideError
from reconsent.web.access import InjectedContext
from reconsent.web.bodies import BoundedRoute

router = APIRouter(route_class=BoundedRoute)


@router.get("/healthz")
def alive() -> Response:
    """Tell that the process answers."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
def ready(context: InjectedContext) -> Response:
    """Tell whether the database answers."""
    try:
        context.database.transaction(lambda connection: connection.execute("SELECT 1"))
    except OutsideError as error:
        return JSONResponse({"status": "not ready", "error": str(error)}, 503)
    return JSONResponse({"status": "ready"})
