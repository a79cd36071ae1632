"""The web application: all routers, with error handlers and security headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.domain.event import in_words
from reconsent.web.access import Context, context_of, error_page, secure
from reconsent.web.bodies import BoundedRoute
from reconsent.web.everyone import policies
from reconsent.web.hooks import sendgrid
from reconsent.web.operators import health, mailbox, metrics
from reconsent.web.people import choose, unsubscribe
from reconsent.web.people.links import DeadLinkError, dead_link_response
from reconsent.web.programs import api
from reconsent.web.settings import without_port
from reconsent.web.turns import Room
from reconsent.words.frame import stylesheet

_frame = APIRouter(include_in_schema=False, route_class=BoundedRoute)
ROUTERS: Final = (
    choose.router, unsubscribe.router, policies.router, api.router, health.router, metrics.router,
    sendgrid.router, mailbox.router, _frame,
)  # fmt: skip
_PROBES: Final = ("/healthz", "/readyz")
_FOR_PROGRAMS: Final = (
    "/v1/", "/healthz", "/readyz", "/metrics", "/hooks/", "/openapi.json",
)  # fmt: skip


def create_app(context: Context) -> FastAPI:
    """Return the application that serves a context."""
    app = FastAPI(
        title="reconsent",
        version="1",
        # Served with the token alone, by programs/api.py.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # A redirect would be to the host that the request names, with the secret link in it.
        redirect_slashes=False,
    )
    app.state.context = context
    app.state.room = Room()
    for router in ROUTERS:
        app.include_router(router)
    app.middleware("http")(_with_headers)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(BadInputError, _bad_input)
    app.add_exception_handler(OutsideError, _outside_error)
    app.add_exception_handler(DeadLinkError, dead_link_response)
    app.add_exception_handler(Exception, _internal_error)
    return app


@_frame.get("/")
def _home(request: Request) -> Response:
    return RedirectResponse(f"{context_of(request).site.root}/policies")


@_frame.get("/static/site.css")
def _stylesheet() -> Response:
    caching = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(stylesheet(), media_type="text/css", headers=caching)


async def _with_headers(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    if _is_known(request):
        return _finished(request, await call_next(request))
    unknown = HTTPException(400, "host: is not a name of this site")
    return _finished(request, _http_error(request, unknown))


def _finished(request: Request, response: Response) -> Response:
    """Add the headers that a response does not set itself; what programs get is not cached."""
    if _is_for_programs(request):
        response.headers.setdefault("Cache-Control", "no-store")
    return secure(response)


def _is_known(request: Request) -> bool:
    """Tell whether a request calls the site by one of its names; probes may call it by any."""
    host = without_port(request.headers.get("host", ""))
    return host in context_of(request).hosts or request.url.path in _PROBES


def _is_for_programs(request: Request) -> bool:
    return request.url.path.startswith(_FOR_PROGRAMS)


def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if _is_for_programs(request):
        detail = error.detail if isinstance(error, HTTPException) else "internal error"
        headers = error.headers if isinstance(error, HTTPException) else None
        return JSONResponse({"error": detail}, status, headers=headers)
    page = error_page(request, status)
    if isinstance(error, HTTPException) and error.headers:
        page.headers.update(error.headers)
    return page


def _bad_input(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 422)


def _invalid_request(request: Request, error: Exception) -> Response:
    """Name the first invalid field of a request, without echoing its value."""
    if not _is_for_programs(request) or not isinstance(error, RequestValidationError):
        return _http_error(request, HTTPException(422))
    wrong = dict(error.errors()[0])
    if wrong["loc"] == ("body",) and "json" not in request.headers.get("content-type", ""):
        return JSONResponse({"error": "content-type: must be application/json"}, 422)
    # The first part of `loc` is where the value was: the body, path or query.
    return JSONResponse({"error": in_words(wrong | {"loc": wrong["loc"][1:]})}, 422)


def _internal_error(request: Request, error: Exception) -> Response:
    """Respond to an unexpected exception; the middleware that adds headers is skipped here."""
    return _finished(request, _http_error(request, error))


def _outside_error(request: Request, error: Exception) -> Response:
    if _is_for_programs(request):
        return JSONResponse({"error": str(error)}, 503)
    return _http_error(request, HTTPException(503))
