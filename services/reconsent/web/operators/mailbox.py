"""Pages of the local mailbox, for trying reconsent out; 404 if mail goes to a provider."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from typing_extensions import override

from reconsent.mail.mailbox import Mailbox, OpenedMail
from reconsent.web.access import (
    Context,
    InjectedContext,
    authorize,
    context_of,
    error_page,
    own_language_of,
    page_response,
)
from reconsent.web.bodies import BoundedRoute
from reconsent.words import mailbox as mailbox_pages
from reconsent.words.views import MailboxView, MailRow, MailView


class _MailboxRoute(BoundedRoute):
    """A route that needs the token unless only this machine reaches it."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            context = context_of(request)
            if context.mailbox is not None and not context.mailbox_is_open:
                authorize(request)
            return await handle(request)

        return shown


router = APIRouter(include_in_schema=False, route_class=_MailboxRoute)
_PAGE = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@router.get("/mailbox")
def mailbox(
    request: Request,
    context: InjectedContext,
    older: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    """List the mails, newest first."""
    if context.mailbox is None:
        return error_page(request, 404)
    kept = Mailbox(context.mailbox)
    url = f"{context.site.root}/mailbox"
    total = len(kept)
    view = MailboxView(
        mails=tuple(
            MailRow(
                url=f"{url}/{headline.mail}",
                subject=headline.subject,
                recipient=headline.to,
                sent_at=(headline.date or _EPOCH).astimezone(),
            )
            for headline in kept.newest(limit=_PAGE, skip=older)
        ),
        total=total,
        language=own_language_of(request),
        newer_url=f"{url}?older={max(older - _PAGE, 0)}" if older else None,
        older_url=f"{url}?older={older + _PAGE}" if older + _PAGE < total else None,
    )
    return page_response(mailbox_pages.mailbox(view, context.site))


@router.get("/mailbox/{mail}")
def mail(mail: str, request: Request, context: InjectedContext) -> Response:
    """Show one mail as text."""
    found = _find(mail, context)
    if found is None:
        return error_page(request, 404)
    view = MailView(
        subject=found.headline.subject,
        sender=context.site.contact,
        recipient=found.headline.to,
        sent_at=(found.headline.date or _EPOCH).astimezone(),
        text=found.text,
        html_url=f"{context.site.root}/mailbox/{mail}/html",
        mailbox_url=f"{context.site.root}/mailbox",
        language=own_language_of(request),
    )
    return page_response(mailbox_pages.mail(view, context.site))


@router.get("/mailbox/{mail}/html")
def html(mail: str, request: Request, context: InjectedContext) -> Response:
    """Show one mail's HTML in a sandbox: it runs no scripts and loads nothing."""
    found = _find(mail, context)
    if found is None:
        return error_page(request, 404)
    response = page_response(found.html)
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; sandbox allow-top-navigation allow-popups "
        "allow-popups-to-escape-sandbox"
    )
    return response


def _find(mail: str, context: Context) -> OpenedMail | None:
    return Mailbox(context.mailbox).open(mail) if context.mailbox else None
