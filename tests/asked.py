"""Policy versions and questions for tests of mails and pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from reconsent.domain.consent import Answer
from reconsent.domain.notice import Question, questions
from reconsent.domain.policy import Policy, PolicyVersion
from reconsent.domain.use import Held
from reconsent.words.views import Answered, Asked, Site
from tests.drafts import draft, row

_PARTIES: Final = {
    "example": {"name": "Example Inc.", "country": "CA"},
    "adpartner": {"name": "Northlight Ads", "country": "DE"},
}
_TEXTS: Final = {
    "en": {"title": "Our policy", "summary": "We would like to write to you.", "body": "Body."},
    "nb": {"title": "Personvern", "summary": "Vi vil gjerne skrive til deg.", "body": "Tekst."},
}

FIRST: Final = draft(
    effective_at="2013-05-01T00:00:00Z",
    parties=_PARTIES,
    declares=[row("user", "essential.service")],
    texts=_TEXTS,
)
SITE: Final = Site(public_url="https://privacy.example", contact="privacy@example.com")
ASKED_AT: Final = datetime(2026, 11, 3, 13, 5, tzinfo=UTC)


def second(**changed: Any) -> PolicyVersion:  # noqa: ANN401 (as in a file)
    """Return the version that asks, with some fields changed."""
    return draft(
        **{
            "version": "v2",
            "follows": "v1",
            "parties": _PARTIES,
            "texts": _TEXTS,
            "notice": {"respond_by": "P30D"},
            "declares": [
                row("user", "essential.service"),
                row("user.contact.email", "marketing.communications.email"),
                row("user.payment", "analytics.reporting", recipients=["adpartner"]),
            ],
        }
        | changed,
    )


def asked(
    version: PolicyVersion | None = None,
    *held: tuple[str, str | None],
    locale: str = "en",
    property_name: str = "campaigner.example",
) -> Asked:
    """Return what a version asks about held data; by default three questions."""
    line = Policy(name="campaigner", versions=(FIRST, version or second()))
    holdings = held or (("user.contact.email", "v1"), ("user.payment", "v1"))
    return Asked(
        version=line.latest,
        published=line.by_name,
        questions=questions(line.new_uses(Held(*pair) for pair in holdings)),
        property_name=property_name,
        locale=locale,
    )


def question(data_use: str, recipient: str, *concerns: tuple[str, str | None]) -> Question:
    """Return one question about held data."""
    return Question(
        data_use=data_use, recipient=recipient, concerns=tuple(Held(*pair) for pair in concerns)
    )


def said(now: Asked, *answers: Answer) -> tuple[Answered, ...]:
    """Return answers to the first questions, in their order."""
    return tuple(
        Answered(
            question=question,
            answer=answer,
            said_at=ASKED_AT,
            counts_from=now.version.effective_at,
        )
        for question, answer in zip(now.questions, answers, strict=False)
    )
