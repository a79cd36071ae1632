"""Links in mails. Each names a notice, and is verified before the body is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response

from reconsent.web.access import InjectedContext, context_of, own_language_of, page_response
from reconsent.words.refusals import dead_link


class DeadLinkError(Exception):
    """The link is unknown, altered, for another purpose, or no longer valid."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link with a valid signature. Its notice may no longer exist."""

    token: str
    notice_id: UUID
    languages: str | None
    """The request's Accept-Language header."""


async def choose_link(token: str, request: Request, context: InjectedContext) -> Link:
    """Verify a link to the choose page. Raises DeadLinkError."""
    return _link(token, request, context.signer.notice(token, "choose"))


async def unsubscribe_link(token: str, request: Request, context: InjectedContext) -> Link:
    """Verify a link to unsubscribe from optional mail. Raises DeadLinkError."""
    return _link(token, request, context.signer.notice(token, "unsubscribe"))


def _link(token: str, request: Request, notice_id: UUID | None) -> Link:
    if notice_id is None:
        raise DeadLinkError
    languages = request.headers.get("accept-language")
    return Link(token=token, notice_id=notice_id, languages=languages)


ChooseLink = Annotated[Link, Depends(choose_link)]
UnsubscribeLink = Annotated[Link, Depends(unsubscribe_link)]


def dead_link_response(request: Request, _: Exception) -> Response:
    """Respond to every dead link with the same page, which does not say why."""
    site = context_of(request).site
    return page_response(dead_link(own_language_of(request), site), 404)
