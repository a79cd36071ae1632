"""Unsubscribing from optional mail: on a page, or by one POST of a mail client (RFC 8058).

Opening the link changes nothing. Any POST unsubscribes: only the recipient and their mail client
know the link, and a mail client sends neither cookies nor the page's form. Unsubscribing decides
nothing about the use of data.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.requests import ClientDisconnect

from reconsent.domain.locales import best_locale
from reconsent.facts.read.asked import OptionalMail, optional_mail
from reconsent.facts.record.unsubscribes import (
    Unsubscribe,
    record_resubscribe,
    record_unsubscribes,
)
from reconsent.store.postgres import Connection
from reconsent.web.access import Context, InjectedContext, page_response
from reconsent.web.bodies import Body, BoundedRoute
from reconsent.web.people.links import DeadLinkError, Link, UnsubscribeLink
from reconsent.words import unsubscribing
from reconsent.words.views import UnsubscribeView

router = APIRouter(include_in_schema=False, route_class=BoundedRoute)
_ONE_CLICK: Final = b"One-Click"
# It is near the start, in a urlencoded body and in a multipart one.
_SEARCHED_BYTES: Final = 4096


async def _is_one_click(_: UnsubscribeLink, request: Request) -> bool:
    """Return whether the request is from a mail client, not from the page's form."""
    try:
        body = await request.body()
    except ClientDisconnect:
        return False  # any POST unsubscribes
    return _ONE_CLICK in body[:_SEARCHED_BYTES]


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
def offer(link: UnsubscribeLink, context: InjectedContext) -> Response:
    """Show what unsubscribing means, and a button; who has unsubscribed can take that back."""

    def show(connection: Connection) -> Response:
        found, view = _unsubscribing(connection, context, link)
        if found.unsubscribed:
            return page_response(unsubscribing.unsubscribed(view, context.site, link.token))
        return page_response(unsubscribing.unsubscribe(view, context.site))

    return context.database.transaction(show)


@router.post("/u/{token}")
def unsubscribe(
    link: UnsubscribeLink,
    one_click: Annotated[bool, Depends(_is_one_click)],
    context: InjectedContext,
) -> Response:
    """Record that a person wants no more optional mail. Idempotent."""

    def record(connection: Connection) -> Response:
        found, view = _unsubscribing(connection, context, link)
        event = Unsubscribe(
            account_key=found.account_key,
            notice_id=link.notice_id,
            reason="unsubscribed",
            channel="one_click" if one_click else "page",
            occurred_at=context.now(),
        )
        record_unsubscribes(connection, [event])
        return page_response(unsubscribing.unsubscribed(view, context.site, link.token))

    return context.database.transaction(record)


@router.api_route("/u/{token}/again", methods=["GET", "HEAD"])
def show_resubscribed(link: UnsubscribeLink, context: InjectedContext) -> Response:
    """Show that a person gets optional mail again; if they do not, the page of the mail's link."""

    def show(connection: Connection) -> Response:
        found, view = _unsubscribing(connection, context, link)
        if found.opted_in:
            return page_response(unsubscribing.subscribed_again(view, context.site))
        return RedirectResponse(f"{context.site.root}/u/{link.token}", 303)

    return context.database.transaction(show)


@router.api_route("/u/{token}/again", methods=["POST"])
def resubscribe(link: UnsubscribeLink, _: Body, context: InjectedContext) -> Response:
    """Record that a person wants optional mail again. Idempotent."""

    def record(connection: Connection) -> Response:
        found, view = _unsubscribing(connection, context, link)
        record_resubscribe(connection, found.account_key, link.notice_id, context.now())
        return page_response(unsubscribing.subscribed_again(view, context.site))

    return context.database.transaction(record)


def _unsubscribing(
    connection: Connection, context: Context, link: Link
) -> tuple[OptionalMail, UnsubscribeView]:
    """Find the account that a link unsubscribes, and from what. Raises DeadLinkError."""
    found = optional_mail(connection, link.notice_id)
    policy = context.versions.locked(connection).of_property(found.property) if found else None
    if found is None or policy is None:
        raise DeadLinkError
    return found, UnsubscribeView(
        version=policy.latest,
        property_name=found.property,
        locale=best_locale(found.locale or link.languages, policy.latest),
        reachable=found.reachable,
    )
