"""What every page and call has at hand."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends, Header, HTTPException, Request, Response
from fastapi.responses import HTMLResponse

from reconsent.domain.signing import Signer
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.mail.sendgrid.webhook import Webhook
from reconsent.store.postgres import Connection, Database
from reconsent.words.views import Site

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
    """What the pages work with."""

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
    """By which SendGrid's posts are known; None where they are not wanted."""


def _context(request: Request) -> Context:
    return cast("Context", request.app.state.context)


Given = Annotated[Context, Depends(_context)]


def authorized(context: Given, authorization: Annotated[str, Header()] = "") -> None:
    """Let only those in who bear the API's token."""
    scheme, _, token = authorization.partition(" ")
    right = hmac.compare_digest(token.strip().encode(), context.api_token.encode())
    if scheme.lower() != "bearer" or not right:
        raise HTTPException(401, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})


def page(html: str, status: int = 200) -> Response:
    """Answer with a page that nobody keeps a copy of."""
    return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})
