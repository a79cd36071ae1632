"""The web application: every page and call behind one set of headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.domain.event import in_words
from reconsent.web.access import HEADERS, Context, page
from reconsent.web.everyone import policies
from reconsent.web.hooks import sendgrid
from reconsent.web.operators import health, mailbox
from reconsent.web.people import choose, unsubscribe
from reconsent.web.programs import api
from reconsent.words import pages
from reconsent.words.frame import stylesheet
from reconsent.words.translation import own_language
from reconsent.words.views import ErrorView

_FOR_PROGRAMS = ("/v1/", "/healthz", "/readyz", "/metrics", "/hooks/")


def create_app(context: Context) -> FastAPI:
    """Return the application, working with what it is given."""
    app = FastAPI(title="reconsent", version="1", docs_url=None, redoc_url=None)
    app.state.context = context
    for part in (choose, unsubscribe, policies, api, health, sendgrid, mailbox):
        app.include_router(part.router)
    app.add_api_route("/", _home, include_in_schema=False)
    app.add_api_route("/static/site.css", _stylesheet, include_in_schema=False)
    app.middleware("http")(_with_headers)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(BadInputError, _bad_input)
    app.add_exception_handler(OutsideError, _outside)
    return app


def _home(request: Request) -> Response:
    root: str = request.app.state.context.site.root
    return RedirectResponse(f"{root}/policies")


def _stylesheet() -> Response:
    caching = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(stylesheet(), media_type="text/css", headers=caching)


async def _with_headers(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _is_for_programs(request: Request) -> bool:
    return request.url.path.startswith(_FOR_PROGRAMS)


def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if _is_for_programs(request):
        detail = error.detail if isinstance(error, HTTPException) else "internal error"
        headers = error.headers if isinstance(error, HTTPException) else None
        return JSONResponse({"error": detail}, status, headers=headers)
    context: Context = request.app.state.context
    language = own_language(request.headers.get("accept-language"))
    return page(pages.error(ErrorView(status=status, language=language), context.site), status)


def _bad_input(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 422)


def _not_understood(request: Request, error: Exception) -> Response:
    """Name the first thing that is wrong with a request, and repeat nothing of it."""
    if not _is_for_programs(request) or not isinstance(error, RequestValidationError):
        return _refused(request, HTTPException(422))
    wrong = dict(error.errors()[0])
    if wrong["loc"] == ("body",) and "json" not in request.headers.get("content-type", ""):
        return JSONResponse({"error": "content-type: should be application/json"}, 422)
    # FastAPI says where a value stood before it says which.
    return JSONResponse({"error": in_words(wrong | {"loc": wrong["loc"][1:]})}, 422)


def _outside(request: Request, error: Exception) -> Response:
    if _is_for_programs(request):
        return JSONResponse({"error": str(error)}, 503)
    return _refused(request, HTTPException(503))
