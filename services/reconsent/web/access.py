"""What all routes share: context, authorization, security headers, error pages."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import Depends, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from typing_extensions import override

from reconsent.domain.signing import Signer
from reconsent.facts.read.permissions import Permissions
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.mail.sendgrid.webhook import Webhook
from reconsent.store.postgres import Connection, Database
from reconsent.web.bodies import BoundedRoute
from reconsent.words.refusals import error
from reconsent.words.translation import own_language
from reconsent.words.views import ErrorView, Site

# Pages run no scripts and load nothing but the stylesheet.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, kw_only=True)
class Context:
    """The parts that routes use."""

    database: Database
    signer: Signer
    api_token: str
    site: Site
    mailbox: Path | None
    lags: Callable[[Connection], dict[str, int]]
    now: Callable[[], datetime]
    versions: PublishedVersions
    cohorts: Cohorts
    permissions: Permissions
    hosts: frozenset[str]
    """The names that requests may call the site by, lower-case, without ports."""
    mailbox_is_open: bool = False
    """Whether the local mailbox is shown without the token: only this machine reaches it."""
    sendgrid: Webhook | None = None
    """Verifies SendGrid's requests; None if they are not accepted."""


async def _context(request: Request) -> Context:
    return context_of(request)


def context_of(request: Request) -> Context:
    """Return the context of the application that serves a request."""
    return cast("Context", request.app.state.context)


InjectedContext = Annotated[Context, Depends(_context)]


class AuthorizedRoute(BoundedRoute):
    """A route that requires the API token. Without it the body is not read."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def authorized(request: Request) -> Response:
            authorize(request)
            return await handle(request)

        return authorized


def authorize(request: Request) -> None:
    """Raise HTTPException 401 for a request without the API token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    expected = context_of(request).api_token.encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), expected):
        raise HTTPException(401, "a valid bearer token is required", {"WWW-Authenticate": "Bearer"})


def secure(response: Response) -> Response:
    """Add the security headers that a response does not set itself."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def page_response(html: str, status: int = 200) -> Response:
    """Return a response with a page that must not be cached."""
    return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})


def own_language_of(request: Request) -> str:
    """Return the program's own language that a request prefers."""
    return own_language(request.headers.get("accept-language"))


def error_page(request: Request, status: int) -> Response:
    """Return a response with the error page."""
    view = ErrorView(status=status, language=own_language_of(request))
    return page_response(error(view, context_of(request).site), status)
