"""The choose page: for the person who opened one mail. RULES 8, 12, 17; INTERFACES, HTTP.

Opening a link decides nothing. An answer is recorded for what its page showed, and only while
nothing is asked that the page did not show.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from reconsent.domain.consent import Answer
from reconsent.domain.notice import Question, covered_by, questions
from reconsent.domain.use import Use
from reconsent.facts.read.asked import ShownQuestions, shown_questions
from reconsent.store.postgres import Connection
from reconsent.web.access import Context, Given, page
from reconsent.web.people.choice_page import (
    Opened,
    keep_shown,
    open_link,
    record_answers,
)
from reconsent.words import pages
from reconsent.words.translation import own_language
from reconsent.words.views import ChooseView, NothingLeftView, ReceiptView

router = APIRouter(include_in_schema=False)
_LONGEST_FORM = 64 * 1024


async def _form(request: Request) -> dict[str, str]:
    """Read the form that a page sends; of a field given twice the last counts."""
    body = await request.body()
    text = body[:_LONGEST_FORM].decode("utf-8", "replace")
    return {name: values[-1] for name, values in parse_qs(text).items()}


Form = Annotated[dict[str, str], Depends(_form)]


@router.api_route("/c/{token}", methods=["GET", "HEAD"])
def ask(token: str, request: Request, context: Given) -> Response:
    """Show the question, or what was said when nothing is left to ask."""

    def show(connection: Connection) -> Response:
        opened = open_link(connection, context, token, request)
        if opened is None:
            return dead_link(request, context)
        if not (opened.ask or opened.decided):
            return page(pages.nothing_left(_nothing_left(opened), context.site))
        return _choose(connection, context, opened, opened.ask or opened.decided)

    return context.database.transaction(show)


@router.api_route("/c/{token}/answers", methods=["GET", "HEAD"])
def earlier(token: str, request: Request, context: Given) -> Response:
    """Show all questions with what was said, for the person to change their mind."""

    def show(connection: Connection) -> Response:
        opened = open_link(connection, context, token, request)
        if opened is None:
            return dead_link(request, context)
        return _choose(connection, context, opened, opened.ask | opened.decided)

    return context.database.transaction(show)


@router.api_route("/c/{token}/receipt", methods=["GET", "HEAD"])
def receipt(token: str, request: Request, context: Given) -> Response:
    """Show what was said, when, and how to change it."""

    def show(connection: Connection) -> Response:
        opened = open_link(connection, context, token, request)
        if opened is None:
            return dead_link(request, context)
        view = ReceiptView(
            version=opened.policy.latest,
            property_name=opened.name.property,
            locale=opened.locale,
            answers=opened.said(opened.decided),
            still_open=len(questions(opened.ask)),
            change_url=opened.answers_url,
        )
        return page(pages.receipt(view, context.site))

    return context.database.transaction(show)


@router.post("/c/{token}")
def answer(token: str, request: Request, form: Form, context: Given) -> Response:
    """Record the answers to the page's questions; 409 when more is asked than it showed."""

    def record(connection: Connection) -> Response:
        opened = open_link(connection, context, token, request, lock=True)
        if opened is None:
            return dead_link(request, context)
        # A form without its page's mark can only have answered what the mail asked.
        shown = shown_questions(
            connection, opened.name.property, form.get("ask", "")
        ) or keep_shown(connection, opened, opened.mailed)
        if not covered_by(opened.ask, shown.uses):
            return _choose(connection, context, opened, opened.ask, status=409, changed=True)
        return _record(connection, context, opened, shown, form, token)

    return context.database.transaction(record)


@router.post("/c/{token}/answers")
def change(token: str, request: Request, form: Form, context: Given) -> Response:
    """Record answers to all questions, among them changes of mind; 409 as for `answer`."""

    def record(connection: Connection) -> Response:
        opened = open_link(connection, context, token, request, lock=True)
        if opened is None:
            return dead_link(request, context)
        shown = shown_questions(
            connection, opened.name.property, form.get("ask", "")
        ) or keep_shown(connection, opened, opened.mailed | opened.decided)
        if not covered_by(opened.ask, shown.uses):
            questions_now = opened.ask | opened.decided
            return _choose(connection, context, opened, questions_now, status=409, changed=True)
        return _record(connection, context, opened, shown, form, token)

    return context.database.transaction(record)


def _record(
    connection: Connection,
    context: Context,
    opened: Opened,
    shown: ShownQuestions,
    form: dict[str, str],
    token: str,
) -> Response:
    answers = _answers(questions(shown.uses), form)
    if not answers:
        return _choose(connection, context, opened, shown.uses, status=422, nothing_chosen=True)
    record_answers(connection, context, opened, shown, answers)
    return RedirectResponse(f"{context.site.root}/c/{token}/receipt", 303)


def _answers(asked: tuple[Question, ...], form: dict[str, str]) -> dict[Use, Answer]:
    """Read the answers of a form: one for all, or one a question; what is left out stays open."""
    said: dict[Use, Answer] = {}
    for question in asked:
        value = form.get("all") or form.get(pages.field_name(question))
        if value == "allow":
            said |= dict.fromkeys(question.uses, "allow")
        elif value == "deny":
            said |= dict.fromkeys(question.uses, "deny")
    return said


def _choose(
    connection: Connection,
    context: Context,
    opened: Opened,
    shown: frozenset[Use],
    *,
    status: int = 200,
    changed: bool = False,
    nothing_chosen: bool = False,
) -> Response:
    if not shown:
        return page(pages.nothing_left(_nothing_left(opened), context.site), status)
    view = ChooseView(
        asked=opened.asked(shown),
        ask_hash=keep_shown(connection, opened, shown).text_hash,
        mailed_at=opened.mailed_at,
        refused_before=opened.refused_before(shown),
        said=opened.said(shown - opened.ask),
        nothing_chosen=nothing_chosen,
        question_changed=changed,
        answers_url=opened.answers_url if shown == opened.ask and opened.decided else None,
    )
    return page(pages.choose(view, context.site), status)


def _nothing_left(opened: Opened) -> NothingLeftView:
    return NothingLeftView(
        version=opened.policy.latest,
        property_name=opened.name.property,
        locale=opened.locale,
        answers_url=opened.answers_url if opened.decided else None,
    )


def dead_link(request: Request, context: Context) -> Response:
    """Answer any link that does not work in the same way, telling nothing of why."""
    language = own_language(request.headers.get("accept-language"))
    return page(pages.dead_link(language, context.site), 404)
