"""The input of each page; the web makes these from the facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from reconsent.domain.consent import Answer
from reconsent.domain.notice import Question
from reconsent.domain.policy import PolicyVersion
from reconsent.domain.use import Use


@dataclass(frozen=True, kw_only=True)
class Site:
    """The public URL of the pages, and the address of the privacy contact."""

    public_url: str
    contact: str

    @property
    def root(self) -> str:
        """The path prefix of every page, without a trailing slash."""
        return urlsplit(self.public_url).path.rstrip("/")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The questions to all accounts that share version, ask, property and locale.

    `published` are the policy's versions by name; `locale` is one of the version's texts.
    """

    version: PolicyVersion
    published: Mapping[str, PolicyVersion]
    questions: tuple[Question, ...]
    property_name: str
    locale: str


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A person's answer to a question, and when it was given.

    `counts_from` is when a yes to it counts; None if no version declares the uses.
    """

    question: Question
    answer: Answer
    said_at: datetime
    counts_from: datetime | None


@dataclass(frozen=True, kw_only=True)
class ChooseView:
    """The choose page of one person, with at least one question.

    `page_mark` is submitted with the form. `said` are earlier answers to the questions shown;
    `answers_url` leads to the page of all earlier answers, if any. Days are those in `time_zone`,
    else in the offset that the version is written in.
    """

    asked: Asked
    page_mark: str
    mailed_at: datetime | None = None
    refused_before: frozenset[Use] = frozenset()
    said: tuple[Answered, ...] = ()
    nothing_chosen: bool = False
    question_changed: bool = False
    answers_url: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReceiptView:
    """A person's answers, with the number of questions that are still open.

    `change_url` leads to the questions, answered or open. Times are shown in `time_zone`, else in
    the offset that the version is written in.
    """

    version: PolicyVersion
    property_name: str
    locale: str
    answers: tuple[Answered, ...]
    still_open: int = 0
    change_url: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True, kw_only=True)
class NothingLeftView:
    """A link with nothing left to ask; `answers_url` leads to earlier answers, if any."""

    version: PolicyVersion
    property_name: str
    locale: str
    answers_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class UnsubscribeView:
    """Unsubscribing from optional mail about a property, in the words of a version.

    Who is not `reachable` gets none for another reason too.
    """

    version: PolicyVersion
    property_name: str
    locale: str
    reachable: bool = True


@dataclass(frozen=True, kw_only=True)
class ErrorView:
    """An HTTP status of 400 or more, in one of the program's own languages."""

    status: int
    language: str


@dataclass(frozen=True, kw_only=True)
class PoliciesView:
    """Each policy's version in force; `wanted` is the reader's Accept-Language."""

    in_force: tuple[PolicyVersion, ...]
    wanted: str | None
    language: str


@dataclass(frozen=True, kw_only=True)
class PolicyHistoryView:
    """A policy's versions, oldest first and at least one; `in_force` names one of them."""

    versions: tuple[PolicyVersion, ...]
    in_force: str
    locale: str
    feed_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class PolicyVersionView:
    """One version, with the one it follows."""

    version: PolicyVersion
    followed: PolicyVersion | None
    locale: str


@dataclass(frozen=True, kw_only=True)
class MailRow:
    """A row in the list of mails."""

    url: str
    subject: str
    recipient: str
    sent_at: datetime


@dataclass(frozen=True, kw_only=True)
class MailboxView:
    """One page of the list of mails, latest first."""

    mails: tuple[MailRow, ...]
    total: int
    language: str = "en"
    newer_url: str | None = None
    older_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class MailView:
    """One mail; `html_url` serves its HTML, sandboxed by its own Content-Security-Policy."""

    subject: str
    sender: str
    recipient: str
    sent_at: datetime
    text: str
    html_url: str
    mailbox_url: str
    language: str = "en"
