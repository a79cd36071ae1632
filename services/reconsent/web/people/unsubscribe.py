"""Leaving optional mail: by its own page, or by one POST that a mail program makes (RFC 8058).

Opening the link changes nothing. Any POST is enough: only the mail's reader and their mail program
know the link, and the mail program sends no cookie and comes from no page. It says nothing about
the use of data.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from reconsent.domain.locales import best_locale
from reconsent.facts.read.asked import optional_mail
from reconsent.facts.record.unsubscribes import Unsubscribe, record_unsubscribes
from reconsent.store.postgres import Connection
from reconsent.web.access import Context, InjectedContext, page_response
from reconsent.web.bodies import BoundedRoute
from reconsent.web.people.links import DeadLinkError, Link, UnsubscribeLink
from reconsent.words import unsubscribing
from reconsent.words.views import UnsubscribeView

router = APIRouter(include_in_schema=False, route_class=BoundedRoute)
_ONE_CLICK: Final = b"One-Click"
# It comes near the start, whether the mail program sends it urlencoded or multipart.
_LOOKED_AT: Final = 4096


async def _by_mail_program(_: UnsubscribeLink, request: Request) -> bool:
    """Tell whether a mail program posts, not the page's form."""
    try:
        body = await request.body()
    except ClientDisconnect:
        return False  # the wish has arrived all the same
    return _ONE_CLICK in body[:_LOOKED_AT]


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
def offer(link: UnsubscribeLink, context: InjectedContext) -> Response:
    """Show what unsubscribing means, and a button."""

    def show(connection: Connection) -> Response:
        view = _unsubscribing(connection, context, link)
        return page_response(unsubscribing.unsubscribe(view, context.site))

    return context.database.transaction(show)


@router.post("/u/{token}")
def unsubscribe(
    link: UnsubscribeLink,
    by_mail_program: Annotated[bool, Depends(_by_mail_program)],
    context: InjectedContext,
) -> Response:
    """Record that somebody wants no more optional mail; again, it changes nothing."""

    def record(connection: Connection) -> Response:
        view = _unsubscribing(connection, context, link)
        said = Unsubscribe(
            notice_id=link.notice_id,
            reason="unsubscribed",
            channel="one_click" if by_mail_program else "page",
            occurred_at=context.now(),
        )
        record_unsubscribes(connection, [said])
        return page_response(unsubscribing.unsubscribed(view, context.site))

    return context.database.transaction(record)


def _unsubscribing(connection: Connection, context: Context, link: Link) -> UnsubscribeView:
    """Find what a link unsubscribes from. Raises DeadLinkError."""
    found = optional_mail(connection, link.notice_id)
    policy = context.versions.locked(connection).of_property(found.property) if found else None
    if found is None or policy is None:
        raise DeadLinkError
    return UnsubscribeView(
        version=policy.latest,
        property_name=found.property,
        locale=best_locale(found.locale or link.languages, policy.latest),
    )
