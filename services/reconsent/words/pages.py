"""The pages that people see, each made from a frozen view by one function.

The stylesheet is the only thing a page fetches: no script, no inline style, no other server.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from reconsent.words.frame import page, render, stylesheet, stylesheet_hash, version_path
from reconsent.words.phrases import Words, touches
from reconsent.words.policies import policies, policy_history, policy_version
from reconsent.words.translation import calendar, moment
from reconsent.words.views import (
    Answered,
    Asked,
    ChooseView,
    ErrorView,
    MailboxView,
    MailRow,
    MailView,
    NothingLeftView,
    PoliciesView,
    PolicyHistoryView,
    PolicyVersionView,
    ReceiptView,
    Site,
    UnsubscribeView,
)

if TYPE_CHECKING:
    from reconsent.domain.notice import Question

__all__ = [
    "Answered",
    "Asked",
    "ChooseView",
    "ErrorView",
    "MailRow",
    "MailView",
    "MailboxView",
    "NothingLeftView",
    "PoliciesView",
    "PolicyHistoryView",
    "PolicyVersionView",
    "ReceiptView",
    "Site",
    "UnsubscribeView",
    "choose",
    "dead_link",
    "error",
    "field_name",
    "mail",
    "mailbox",
    "nothing_left",
    "policies",
    "policy_history",
    "policy_version",
    "question_block",
    "receipt",
    "stylesheet",
    "stylesheet_hash",
    "unsubscribe",
    "unsubscribed",
]

_LONG: Final = 3
"""More lines than this of what we hold are folded."""


def field_name(question: Question) -> str:
    """Name a question's radio buttons; the same for everyone, whatever else is asked."""
    asked = f"{question.data_use}\0{question.recipient}"
    return f"q-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"


def question_block(asked: Asked) -> str:
    """Return what is asked as everyone sees it who shares version, ask, property and locale.

    The page shows it piece by piece, each verbatim; its hash proves the words that were shown.
    """
    pieces = [_introduction(asked), *(_fieldset(asked, q) for q in asked.questions)]
    return "\n".join(pieces)


def choose(view: ChooseView, site: Site) -> str:
    """Return the page that asks. Whoever opens it has decided nothing."""
    words = _words(view.asked)
    return page(
        "choose",
        words.language,
        site,
        view=view,
        words=words,
        introduction=_introduction(view.asked),
        questions=[_shown(view, words, question) for question in view.asked.questions],
        mailed_on=words.date(view.mailed_at) if view.mailed_at else None,
        first_field=field_name(view.asked.questions[0]),
        version_path=version_path(site, view.asked.version),
    )


def receipt(view: ReceiptView, site: Site) -> str:
    """Return what a person has said, when, and how to change it."""
    words = _words(view)
    answers = [
        {
            "text": words.question(answered.question),
            "answer": answered.answer,
            "said_at": words.moment(answered.said_at, view.time_zone),
            "counts_from": words.date(answered.counts_from)
            if answered.answer == "allow" and answered.said_at < answered.counts_from
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


def unsubscribe(view: UnsubscribeView, site: Site) -> str:
    """Return the page that lets somebody leave optional mail. Whoever opens it has left nothing."""
    return _about_leaving("unsubscribe", view, site)


def unsubscribed(view: UnsubscribeView, site: Site) -> str:
    """Return the receipt of somebody who has left."""
    return _about_leaving("unsubscribed", view, site)


def _about_leaving(name: str, view: UnsubscribeView, site: Site) -> str:
    words = _words(view)
    path = version_path(site, view.version)
    return page(name, words.language, site, view=view, words=words, version_path=path)


def dead_link(language: str, site: Site) -> str:
    """Return the one page for every link that does not work, telling nothing of why."""
    return page("dead_link", language, site)


def error(view: ErrorView, site: Site) -> str:
    """Return the page for anything else that cannot be shown."""
    return page("error", view.language, site, status=view.status)


def mailbox(view: MailboxView, site: Site) -> str:
    """Return the list of mails kept on this machine."""
    dated = [(row, moment(row.sent_at, calendar(view.language))) for row in view.mails]
    return page("mailbox", view.language, site, view=view, mails=dated)


def mail(view: MailView, site: Site) -> str:
    """Return one mail as text; its HTML is linked, for a page of its own that may run nothing."""
    when = moment(view.sent_at, calendar(view.language))
    return page("mail", view.language, site, view=view, sent_at=when)


def _words(view: Asked | ReceiptView | NothingLeftView | UnsubscribeView) -> Words:
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
    rows = words.held(question, asked.published)
    lines = sum(len(row.collected_under) for row in rows)
    return render(
        "question",
        words.language,
        question=question,
        field=field_name(question),
        text=words.question(question),
        rows=rows,
        folded=lines > _LONG,
    )


def _shown(view: ChooseView, words: Words, question: Question) -> dict[str, object]:
    """Return a question's fieldset with the notes that are one person's own."""
    return {
        "fieldset": _fieldset(view.asked, question),
        "refused_before": touches(question, view.refused_before),
        "said": [
            {
                "answer": answered.answer,
                "on": words.date(answered.said_at),
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
