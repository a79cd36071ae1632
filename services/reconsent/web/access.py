"""Access to the application: what routes work with, who is let in, what every response carries."""

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
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.mail.sendgrid.webhook import Webhook
from reconsent.store.postgres import Connection, Database
from reconsent.web.bodies import BoundedRoute
from reconsent.words.refusals import error
from reconsent.words.translation import own_language
from reconsent.words.views import ErrorView, Site

# No page runs anything or loads anything but the one stylesheet.
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
    """What routes work with."""

    database: Database
    signer: Signer
    api_token: str
    site: Site
    mailbox: Path | None
    lags: Callable[[Connection], dict[str, int]]
    now: Callable[[], datetime]
    versions: PublishedVersions
    cohorts: Cohorts
    sendgrid: Webhook | None = None
    """Verifies SendGrid's posts; None if they are not wanted."""


async def _context(request: Request) -> Context:
    return context_of(request)


def context_of(request: Request) -> Context:
    """Return what the application that a request came to works with."""
    return cast("Context", request.app.state.context)


InjectedContext = Annotated[Context, Depends(_context)]


class AuthorizedRoute(BoundedRoute):
    """A route for those who bear the API's token. Nobody else's body is read."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def let_in(request: Request) -> Response:
            _authorize(request)
            return await handle(request)

        return let_in


def _authorize(request: Request) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    wanted = context_of(request).api_token.encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), wanted):
        raise HTTPException(401, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})


def secure(response: Response) -> Response:
    """Add the security headers that a response does not set itself."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def page_response(html: str, status: int = 200) -> Response:
    """Answer with a page that nobody keeps a copy of."""
    return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})


def own_language_of(request: Request) -> str:
    """Return which of the program's languages a request prefers."""
    return own_language(request.headers.get("accept-language"))


def error_page(request: Request, status: int) -> Response:
    """Answer with the page that says that something cannot be shown."""
    view = ErrorView(status=status, language=own_language_of(request))
    return page_response(error(view, context_of(request).site), status)
