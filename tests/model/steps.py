"""The steps of a world, and a player that takes them on the model.

A driver of a real system replays the same steps beside the player. It asks the player which notice
a step is about (`target`) and which answers it gives (`answers`): both depend on the world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.model.answering import Page, Question
from tests.model.register import Key, NoticeKey
from tests.model.rules import World


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step at `now`, which never decreases from step to step."""

    now: datetime


@dataclass(frozen=True, kw_only=True)
class Publish(Step):
    """A message on policy-versions."""

    document: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Record(Step):
    """A message on accounts, collections or choices; `identity` is its CloudEvents id."""

    topic: str
    data: Mapping[str, Any]
    identity: str


@dataclass(frozen=True, kw_only=True)
class Tombstone(Step):
    """A tombstone on accounts, in a message dated `at`."""

    key: Key
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Report(Step):
    """A message on mail-events, about the named notice or the pick-th of the mailed ones.

    With an `email` it is about an address.
    """

    event: str
    occurred_at: datetime
    identity: str  # a repeated identity is about the same notice
    pick: int = 0
    notice: NoticeKey | None = None
    email: str | None = None
    reason: str | None = None  # of a bounce or drop that does not speak of the mailbox


@dataclass(frozen=True, kw_only=True)
class Plan(Step):
    """The planner works until it is idle."""


@dataclass(frozen=True, kw_only=True)
class Dispatch(Step):
    """The dispatcher works until it is idle, or once if the provider defers a mail.

    The provider rejects the mails to some accounts, of which it blocks some for another reason than
    the mailbox, and defers those to others.
    """

    rejected: frozenset[Key] = frozenset()
    blocked: frozenset[Key] = frozenset()
    retried: frozenset[Key] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Expire(Step):
    """The scheduler records expiries."""


@dataclass(frozen=True, kw_only=True)
class Look(Step):
    """A person opens the link of a choice notice and keeps the page in a slot.

    The notice is the named one, or the pick-th of the mailed ones.
    """

    slot: str
    pick: int = 0
    notice: NoticeKey | None = None
    changing: bool = False  # the page for changing decisions


@dataclass(frozen=True, kw_only=True)
class Click(Step):
    """A person posts answers, from the page in a slot or (None) from one opened now.

    The answers are `given`, or the pattern repeated over the page's questions; None leaves a
    question open.
    """

    pick: int = 0
    notice: NoticeKey | None = None
    pattern: tuple[str | None, ...] = (None,)
    given: Mapping[Question, str] | None = None
    slot: str | None = None
    changing: bool = False  # of the page opened now


@dataclass(frozen=True, kw_only=True)
class Permit(Step):
    """A permission check; `at` None is now."""

    key: Key
    data_category: str
    collected_under: str | None
    data_use: str
    recipient: str | None = None
    at: datetime | None = None


@dataclass(kw_only=True)
class Player:
    """Takes steps on a model world, and keeps the open pages."""

    world: World = field(default_factory=World)
    pages: dict[str, tuple[NoticeKey, Page]] = field(default_factory=dict)
    reported: dict[str, NoticeKey | None] = field(default_factory=dict)

    def target(self, step: Look | Click | Report) -> NoticeKey | None:
        """Return the notice of the step, None if no suitable one was mailed yet."""
        if isinstance(step, Report):
            if step.identity not in self.reported:
                picked = self._pick(step.pick, ("choice", "information"))
                self.reported[step.identity] = step.notice or picked
            return self.reported[step.identity]
        if isinstance(step, Click) and step.slot and step.slot in self.pages:
            return self.pages[step.slot][0]
        return step.notice or self._pick(step.pick, ("choice",))

    def _pick(self, pick: int, kinds: tuple[str, ...]) -> NoticeKey | None:
        names = sorted(
            notice.name
            for notice in self.world.notice_list
            if notice.accepted_at and notice.kind in kinds
        )
        return names[pick % len(names)] if names else None

    def answers(self, step: Click) -> dict[Question, str]:
        """Return the answers of the step; {} if there is no page or no question."""
        if step.given is not None:
            return dict(step.given)
        name = self.target(step)
        if name is None:
            return {}
        page = self._page(step, name)
        questions = page.questions if page else []
        answers = {
            question: step.pattern[n % len(step.pattern)] for n, question in enumerate(questions)
        }
        return {question: answer for question, answer in answers.items() if answer}

    def take(self, step: Step) -> object:
        """Take one step; return mails, an HTTP status or a permission, None for the others.

        A click without answers is skipped (its result is None).
        """
        match step:
            case Plan():
                self.world.plan()
            case Dispatch():
                outcomes = dict.fromkeys(step.retried, "retry")
                outcomes |= dict.fromkeys(step.blocked, "blocked")
                outcomes |= dict.fromkeys(step.rejected, "rejected")
                return self.world.dispatch(step.now, outcomes)
            case Expire():
                self.world.expire(step.now)
                self.world.wait(step.now)
                self.world.forget_addresses(step.now)
            case Look() | Click():
                return self._visit(step)
            case Permit():
                return self.world.permit(
                    *step.key,
                    step.data_category,
                    step.collected_under,
                    step.data_use,
                    step.recipient,
                    step.at,
                    now=step.now,
                )
            case _:
                self._receive(step)
        return None

    def _receive(self, step: Step) -> None:
        """Record a message from the bus."""
        match step:
            case Publish():
                self.world.publish(step.document)
            case Record(topic="accounts"):
                self.world.account(self._counted(step, "updated_at"))
            case Record(topic="collections"):
                self.world.collection(self._counted(step, "collected_at"))
            case Record(topic="choices"):
                self.world.choice(self._counted(step, "decided_at"), step.identity)
            case Tombstone():
                self.world.delete(*step.key, step.at)
            case Report(email=str(email)):
                self.world.address_event(
                    email,
                    step.event,
                    min(step.occurred_at, step.now),
                    step.identity,
                    marks=step.reason is None,
                )
            case Report():
                if name := self.target(step):
                    occurred_at = min(step.occurred_at, step.now)
                    marks = step.reason is None
                    self.world.mail_event(*name, step.event, occurred_at, marks=marks)
            case _:
                raise TypeError(f"not a known step: {step}")

    def _counted(self, step: Record, time: str) -> Mapping[str, Any]:
        return self.world.counted(step.topic, step.data, time, step.now)

    def _page(self, step: Look | Click, name: NoticeKey) -> Page | None:
        if isinstance(step, Click) and step.slot and step.slot in self.pages:
            return self.pages[step.slot][1]
        return self.world.page(*name, changing=step.changing)

    def _visit(self, step: Look | Click) -> int | None:
        name = self.target(step)
        if name is None:
            return None
        page = self._page(step, name)
        if isinstance(step, Click):
            answers = self.answers(step)
            return self.world.click(*name, answers, step.now, page) if answers else None
        if page is None:
            self.pages.pop(step.slot, None)
            return 404
        self.pages[step.slot] = (name, page)
        return 200


def every_permit(
    world: World, categories: tuple[str, ...], uses: tuple[str, ...], now: datetime
) -> Iterator[Permit]:
    """Yield all checks: each account and an unknown one, each version and party, and more."""
    for key in (*sorted(world.known()), ("site.example", "stranger")):
        line = world.line(key[0])
        unders = [None, "unpublished", *(version["version"] for version in line)]
        recipients = [None, *sorted({party for version in line for party in version["parties"]})]
        for category in categories:
            for under in unders:
                for use in uses:
                    for recipient in recipients:
                        yield Permit(
                            now=now,
                            key=key,
                            data_category=category,
                            collected_under=under,
                            data_use=use,
                            recipient=recipient,
                        )
