"""Links in mails: each names a notice, and is checked before anything else of a request is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response

from reconsent.web.access import InjectedContext, context_of, own_language_of, page_response
from reconsent.words.refusals import dead_link


class DeadLinkError(Exception):
    """The link does not work: it is unknown, altered or for another purpose, or too late."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link that was made here. What it leads to may be gone by now."""

    token: str
    notice_id: UUID
    languages: str | None
    """The languages that its reader prefers, as in Accept-Language."""


async def choose_link(token: str, request: Request, context: InjectedContext) -> Link:
    """Check a link to the choose page. Raises DeadLinkError."""
    return _link(token, request, context.signer.notice(token, "choose"))


async def unsubscribe_link(token: str, request: Request, context: InjectedContext) -> Link:
    """Check a link to leave optional mail. Raises DeadLinkError."""
    return _link(token, request, context.signer.notice(token, "unsubscribe"))


def _link(token: str, request: Request, notice_id: UUID | None) -> Link:
    if notice_id is None:
        raise DeadLinkError
    languages = request.headers.get("accept-language")
    return Link(token=token, notice_id=notice_id, languages=languages)


ChooseLink = Annotated[Link, Depends(choose_link)]
UnsubscribeLink = Annotated[Link, Depends(unsubscribe_link)]


def answer_dead_link(request: Request, _: Exception) -> Response:
    """Answer every link that does not work with the same page, which does not say why."""
    site = context_of(request).site
    return page_response(dead_link(own_language_of(request), site), 404)
