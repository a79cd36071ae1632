"""The choose page, for the recipient of a mail. RULES 8, 12, 17; INTERFACES, HTTP.

Opening a link decides nothing. An answer is recorded for the questions that its page showed, and
only if no other question is open by now. A form's mark says which page of which notice it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from reconsent.domain.consent import Answer
from reconsent.domain.notice import Question, covered_by, questions
from reconsent.domain.use import Use
from reconsent.facts.read.asked import ShownQuestions, shown_questions
from reconsent.store.postgres import Connection
from reconsent.web.access import Context, InjectedContext, page_response
from reconsent.web.bodies import BoundedRoute, Form
from reconsent.web.people.choice_page import (
    ChoicePage,
    find_choice_page,
    keep_shown,
    record_answers,
)
from reconsent.web.people.links import ChooseLink, Link
from reconsent.words import choosing
from reconsent.words.views import ChooseView, NothingLeftView, ReceiptView

_HASH: Final = re.compile("[0-9a-f]{64}")

router = APIRouter(include_in_schema=False, route_class=BoundedRoute)


@router.api_route("/c/{token}", methods=["GET", "HEAD"])
def ask(link: ChooseLink, context: InjectedContext) -> Response:
    """Show the open questions; if there are none, the earlier answers."""

    def show(connection: Connection) -> Response:
        page = find_choice_page(connection, context, link)
        return _choose(connection, context, page, page.ask or page.decided)

    return context.database.transaction(show)


@router.api_route("/c/{token}/answers", methods=["GET", "HEAD"])
def earlier(link: ChooseLink, context: InjectedContext) -> Response:
    """Show all questions, with the earlier answers, so that the person can change them."""

    def show(connection: Connection) -> Response:
        page = find_choice_page(connection, context, link)
        return _choose(connection, context, page, page.ask | page.decided)

    return context.database.transaction(show)


@router.api_route("/c/{token}/receipt", methods=["GET", "HEAD"])
def receipt(link: ChooseLink, context: InjectedContext) -> Response:
    """Show what was answered, when, and how to change it."""

    def show(connection: Connection) -> Response:
        page = find_choice_page(connection, context, link)
        view = ReceiptView(
            version=page.policy.latest,
            property_name=page.name.property,
            locale=page.locale,
            answers=page.answers(page.decided),
            still_open=len(questions(page.ask)),
            change_url=page.answers_url,
            time_zone=page.time_zone,
        )
        return page_response(choosing.receipt(view, context.site))

    return context.database.transaction(show)


@router.api_route("/c/{token}", methods=["POST"])
def answer(link: ChooseLink, form: Form, context: InjectedContext) -> Response:
    """Record answers to the open questions; 409 if more is asked now than the page showed."""
    return _record(link, form, context, lambda _: frozenset())


@router.api_route("/c/{token}/answers", methods=["POST"])
def change(link: ChooseLink, form: Form, context: InjectedContext) -> Response:
    """Record answers to open and earlier questions; 409 as for `answer`."""
    return _record(link, form, context, lambda page: page.decided)


def _record(
    link: Link,
    form: dict[str, str],
    context: Context,
    earlier_uses: Callable[[ChoicePage], frozenset[Use]],
) -> Response:
    """Record answers to the open questions, and to those about `earlier_uses`."""

    def record(connection: Connection) -> Response:
        page = find_choice_page(connection, context, link, lock=True)
        shown = _shown(connection, context, page, form.get("ask"), earlier_uses(page))
        if shown is None or not covered_by(page.ask, shown.uses):
            asked_now = page.ask | earlier_uses(page)
            return _choose(connection, context, page, asked_now, status=409, changed=True)
        answers = _answers(questions(shown.uses), form)
        if not answers:
            return _choose(connection, context, page, shown.uses, status=422, nothing_chosen=True)
        record_answers(connection, context, page, shown, answers, form.get("ask", ""))
        return RedirectResponse(f"{context.site.root}/c/{link.token}/receipt", 303)

    return context.database.transaction(record)


def _shown(
    connection: Connection,
    context: Context,
    page: ChoicePage,
    page_mark: str | None,
    earlier_uses: frozenset[Use],
) -> ShownQuestions | None:
    """Find what the page of a form asked; None if this notice has not shown it.

    A form without a mark can only answer what the mail asked, and `earlier_uses`. A page of an
    earlier release has the hash of its words alone: it counts if all that it asked is this
    notice's.
    """
    if page_mark is None:
        return keep_shown(connection, page, page.mailed | earlier_uses)
    text_hash = context.signer.shown(page.notice_id, page_mark)
    if text_hash is not None:
        return shown_questions(connection, page.name.property, text_hash)
    if not _HASH.fullmatch(page_mark):
        return None
    shown = shown_questions(connection, page.name.property, page_mark)
    own = page.ask | page.mailed | page.decided
    return shown if shown is not None and shown.uses <= own else None


def _answers(asked: tuple[Question, ...], form: dict[str, str]) -> dict[Use, Answer]:
    """Read a form's answers: one for all, or one per question; the rest stays open."""
    said: dict[Use, Answer] = {}
    for question in asked:
        value = form.get("all") or form.get(choosing.field_name(question))
        if value == "allow":
            said |= dict.fromkeys(question.uses, "allow")
        elif value == "deny":
            said |= dict.fromkeys(question.uses, "deny")
    return said


def _choose(
    connection: Connection,
    context: Context,
    page: ChoicePage,
    shown: frozenset[Use],
    *,
    status: int = 200,
    changed: bool = False,
    nothing_chosen: bool = False,
) -> Response:
    if not shown:
        return page_response(choosing.nothing_left(_nothing_left(page), context.site), status)
    text_hash = keep_shown(connection, page, shown).text_hash
    view = ChooseView(
        asked=page.asked(shown),
        page_mark=context.signer.page_mark(page.notice_id, text_hash, len(page.entries)),
        mailed_at=page.mailed_at,
        refused_before=page.refused_before(shown),
        said=page.answers(shown - page.ask),
        nothing_chosen=nothing_chosen,
        question_changed=changed,
        answers_url=page.answers_url if shown == page.ask and page.decided else None,
        time_zone=page.time_zone,
    )
    return page_response(choosing.choose(view, context.site), status)


def _nothing_left(page: ChoicePage) -> NothingLeftView:
    return NothingLeftView(
        version=page.policy.latest,
        property_name=page.name.property,
        locale=page.locale,
        answers_url=page.answers_url if page.decided else None,
    )
