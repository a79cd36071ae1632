"""Leaving optional mail: by its own page, or by one POST that a mail program makes (RFC 8058).

Opening the link changes nothing. A POST is enough, whoever makes it: the link is known to nobody
but the mail's reader and their mail program, which brings no cookie and comes from no page. It says
nothing about the use of data.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from reconsent.domain.locales import best_locale
from reconsent.facts.read.asked import optional_mail
from reconsent.facts.record.unsubscribes import Unsubscribe, record_unsubscribes
from reconsent.store.postgres import Connection
from reconsent.web.access import Context, Given, page
from reconsent.web.people.choose import dead_link
from reconsent.words import pages
from reconsent.words.views import UnsubscribeView

router = APIRouter(include_in_schema=False)
_ONE_CLICK: Final = b"One-Click"
# In which form it comes is up to the mail program: urlencoded or multipart.
_LONGEST_BODY: Final = 4096


class _Leaving(NamedTuple):
    """The mail that a link was in, and what its page says."""

    notice_id: UUID
    view: UnsubscribeView


async def _by_mail_program(request: Request) -> bool:
    """Tell whether a mail program posts, not the page's form; no more is read than tells it."""
    kept = b""
    try:
        async for part in request.stream():
            kept += part
            if len(kept) >= _LONGEST_BODY:
                break
    except ClientDisconnect:
        pass  # the wish has arrived all the same
    return _ONE_CLICK in kept[:_LONGEST_BODY]


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
def offer(token: str, request: Request, context: Given) -> Response:
    """Show what unsubscribing means, and a button."""

    def show(connection: Connection) -> Response:
        found = _leaving(connection, context, token, request)
        if found is None:
            return dead_link(request, context)
        return page(pages.unsubscribe(found.view, context.site))

    return context.database.transaction(show)


@router.post("/u/{token}")
def unsubscribe(
    token: str,
    request: Request,
    by_mail_program: Annotated[bool, Depends(_by_mail_program)],
    context: Given,
) -> Response:
    """Record that somebody wants no more optional mail; again, it changes nothing."""

    def record(connection: Connection) -> Response:
        found = _leaving(connection, context, token, request)
        if found is None:
            return dead_link(request, context)
        said = Unsubscribe(
            notice_id=found.notice_id,
            reason="unsubscribed",
            channel="one_click" if by_mail_program else "page",
            occurred_at=context.now(),
        )
        record_unsubscribes(connection, [said])
        return page(pages.unsubscribed(found.view, context.site))

    return context.database.transaction(record)


def _leaving(
    connection: Connection, context: Context, token: str, request: Request
) -> _Leaving | None:
    """Find what a link lets one leave; None for any that does not work."""
    notice_id = context.signer.notice(token, "unsubscribe")
    if notice_id is None:
        return None
    found = optional_mail(connection, notice_id)
    policy = context.versions.locked(connection).of_property(found.property) if found else None
    if found is None or policy is None:
        return None
    view = UnsubscribeView(
        version=policy.latest,
        property_name=found.property,
        locale=best_locale(found.locale or request.headers.get("accept-language"), policy.latest),
    )
    return _Leaving(notice_id, view)
