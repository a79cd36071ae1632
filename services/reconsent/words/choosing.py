"""The choose page, the receipt, and the page for a link with nothing left to ask.

Each page is rendered from a frozen view by one function.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from reconsent.words.frame import page, render, version_path
from reconsent.words.phrases import Words, touches

if TYPE_CHECKING:
    from reconsent.domain.notice import Question
    from reconsent.words.views import (
        Answered,
        Asked,
        ChooseView,
        NothingLeftView,
        ReceiptView,
        Site,
    )

_MOST_UNFOLDED: Final = 3
"""With more lines than this, the held data is folded."""


def field_name(question: Question) -> str:
    """Return the name of a question's radio buttons. It depends on the question alone."""
    asked = f"{question.data_use}\0{question.recipient}"
    return f"q-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"


def question_block(asked: Asked) -> str:
    """Return the questions as shown to all accounts with this version, ask, property and locale.

    The page contains each piece verbatim, so the hash of the block proves the words shown.
    """
    pieces = [_introduction(asked), *(_fieldset(asked, q) for q in asked.questions)]
    return "\n".join(pieces)


def choose(view: ChooseView, site: Site) -> str:
    """Return the page that asks. Opening it decides nothing."""
    words = _words(view.asked)
    return page(
        "choose",
        words.language,
        site,
        view=view,
        words=words,
        introduction=_introduction(view.asked),
        questions=[_shown(view, words, question) for question in view.asked.questions],
        mailed_on=words.day(view.mailed_at, view.time_zone) if view.mailed_at else None,
        first_field=field_name(view.asked.questions[0]),
        version_path=version_path(site, view.asked.version),
    )


def receipt(view: ReceiptView, site: Site) -> str:
    """Return the page that says what was answered, when, and how to change it."""
    words = _words(view)
    answers = [
        {
            "text": words.question(answered.question),
            "answer": answered.answer,
            "said_at": words.moment(answered.said_at, view.time_zone),
            "counts_from": words.date(answered.counts_from)
            if answered.answer == "allow"
            and answered.counts_from
            and answered.said_at < answered.counts_from
            else None,
        }
        for answered in view.answers
    ]
    return page(
        "receipt",
        words.language,
        site,
        view=view,
        words=words,
        answers=answers,
        version_path=version_path(site, view.version),
    )


def nothing_left(view: NothingLeftView, site: Site) -> str:
    """Return the page of a link whose questions are all settled."""
    words = _words(view)
    return page(
        "nothing_left",
        words.language,
        site,
        view=view,
        words=words,
        version_path=version_path(site, view.version),
    )


def _words(view: Asked | ReceiptView | NothingLeftView) -> Words:
    return Words(version=view.version, locale=view.locale)


def _introduction(asked: Asked) -> str:
    words = _words(asked)
    return render(
        "introduction",
        words.language,
        words=words,
        property_name=asked.property_name,
        effective_on=words.date(asked.version.effective_at),
        taken_over_from=words.taken_over_from(asked.questions, asked.published),
    )


def _fieldset(asked: Asked, question: Question) -> str:
    words = _words(asked)
    rows = words.held(question.concerns, asked.published)
    lines = sum(len(row.collected_under) for row in rows)
    return render(
        "question",
        words.language,
        question=question,
        field=field_name(question),
        text=words.question(question),
        rows=rows,
        folded=lines > _MOST_UNFOLDED,
    )


def _shown(view: ChooseView, words: Words, question: Question) -> dict[str, object]:
    """Return a question's fieldset, with notes about this person's earlier answers."""
    return {
        "fieldset": _fieldset(view.asked, question),
        "refused_before": touches(question, view.refused_before),
        "said": [
            {
                "answer": answered.answer,
                "on": words.day(answered.said_at, view.time_zone),
                "about": None
                if answered.question.concerns == question.concerns
                else words.data(held.data_category for held in answered.question.concerns),
            }
            for answered in view.said
            if _same(answered, question)
        ],
    }


def _same(answered: Answered, question: Question) -> bool:
    asked = (question.data_use, question.recipient)
    return (answered.question.data_use, answered.question.recipient) == asked
