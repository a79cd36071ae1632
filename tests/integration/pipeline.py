"""The real system, driven by the model's steps: bus, services, pages, PostgreSQL.

Only two parts are not real: the mail provider keeps its mails, and the clock shows the time of the
current step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from reconsent.domain.bus import Message
from reconsent.domain.errors import OutsideError
from reconsent.domain.mail import Mail, Outcome, Recipient, Result
from reconsent.workers.dispatcher import Dispatcher
from reconsent.workers.planner import Planner
from reconsent.workers.scheduler import Scheduler
from tests.acceptance.forms import Page as Form
from tests.integration.messages import MESSAGES, message, report
from tests.integration.readings import Readings
from tests.integration.stage import INFORMATION_SENDER, SENDER, URL, Mailbox, Stage
from tests.model.answering import Question
from tests.model.register import Key, NoticeKey
from tests.model.rules import World
from tests.model.steps import (
    Click,
    Dispatch,
    Expire,
    Look,
    Permit,
    Plan,
    Player,
    Report,
    Step,
)

_ANY_ORDER: Final = frozenset({"accounts", "collections", "choices"})


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An open form and the path that it is posted to."""

    path: str
    form: Form


class Pipeline(Readings):
    """One world in the real system; it takes the same steps as the model's player."""

    def __init__(self, place: Stage) -> None:
        """Start with an empty world."""
        super().__init__(place)
        self.mailbox = Mailbox()
        database = place.database
        self.planner = Planner(database)
        self.dispatcher = Dispatcher(
            database,
            place.lease,
            self.mailbox,
            place.signer,
            public_url=URL,
            sender=SENDER,
            information_sender=INFORMATION_SENDER,
            now=place.now,
        )
        self.scheduler = Scheduler(
            database, place.now, delivery="at_most_once", settle_after=timedelta(days=1)
        )
        self._links: dict[NoticeKey, str] = {}
        self._pages: dict[str, Opened] = {}
        self._reported: dict[str, UUID] = {}

    # ------------------------------------------------------------------ taking steps

    def take(
        self,
        step: Step,
        target: NoticeKey | None = None,
        answers: Mapping[Question, str] | None = None,
    ) -> object:
        """Take one step; return mails, an HTTP status or a permission, otherwise None.

        `target` and `answers` are for steps that do not give them.
        """
        if isinstance(step, MESSAGES):
            self._queue(step, target)
            return None
        self.settle()
        self._stage.clock = step.now
        match step:
            case Plan():
                self.plan()
            case Dispatch():
                return self._dispatch(step)
            case Expire():
                self.plan()
                while self.scheduler.work():
                    pass
                self.plan()
            case Look():
                return self._look(step, target or step.notice)
            case Click():
                return self._click(step, target or step.notice, answers or step.given or {})
            case Permit():
                return self.permits([step])[0]
        return None

    def plan(self) -> None:
        """Run the planner until it is idle."""
        while self.planner.work():
            pass
        assert self.planner.idle()

    def send(self, steps: Iterable[Step]) -> None:
        """Put messages on the bus in one send."""
        messages = [message for step in steps if (message := self._message(step, None))]
        self._stage.producer.send(messages)

    def _queue(self, step: Step, target: NoticeKey | None) -> None:
        """Put a message on the bus; messages that may arrive in any order are read together."""
        message = self._message(step, target)
        if message is None:
            return
        if self._waiting and not {message.topic, self._waiting[-1].topic} <= _ANY_ORDER:
            self.settle()
        self._waiting.append(message)

    def _message(self, step: Step, target: NoticeKey | None) -> Message | None:
        """Return the message; None for a report of a notice that does not exist."""
        if not isinstance(step, Report):
            return message(step)
        if step.email is not None:
            return report(step, None)
        if step.identity not in self._reported and (name := target or step.notice):
            self.settle()
            self._reported[step.identity] = self._named(name)
        notice = self._reported.get(step.identity)
        return report(step, notice) if notice else None

    # ------------------------------------------------------------------ mail and page

    def _dispatch(self, step: Dispatch) -> list[dict[str, Any]]:
        with self._stage.database.connection() as connection:
            rows = connection.execute(
                "SELECT notice_id, property, account"
                " FROM notices JOIN accounts USING (bucket, account_key)"
            ).fetchall()
        self.mailbox.answers = {
            notice: outcome
            for notice, *key in rows
            if (outcome := _outcome(step, (key[0], key[1])))
        }
        if step.retried:
            with suppress(OutsideError):
                self.dispatcher.work()
        else:
            while self.dispatcher.work():
                pass
            assert self.dispatcher.idle()
        kept, self.mailbox.kept = self.mailbox.kept, []
        mailed = {row["notice"]: row for row in self.notices()} if kept else {}
        return [self._mail(mailed[to.notice], mail, to) for mail, to in kept]

    def _mail(self, notice: dict[str, Any], mail: Mail, to: Recipient) -> dict[str, Any]:
        """Return what went out, having looked at the mail itself."""
        name = (notice["property"], notice["account"], notice["policy_version"], notice["sequence"])
        choice = notice["kind"] == "choice"
        optional = notice["kind"] == "information"
        assert to.link.startswith(f"{URL}/u/" if optional else f"{URL}/c/")
        assert mail.sender == (INFORMATION_SENDER if optional else SENDER)
        assert mail.link_mark in mail.text
        assert mail.link_mark in mail.html
        assert mail.list_name == (notice["property"] if optional else None)
        if choice:
            self._links[name] = to.link.removeprefix(URL)
        names = ("property", "account", "policy_version", "sequence", "kind")
        asks = frozenset(tuple(use.values()) for use in notice["asks"])
        return {name: notice[name] for name in names} | {"email": to.email, "asks": asks}

    def _look(self, step: Look, name: NoticeKey | None) -> int | None:
        if name is None:
            return None
        self._pages.pop(step.slot, None)
        status, opened = self.open(name, changing=step.changing)
        if opened is not None:
            self._pages[step.slot] = opened
        return status

    def open(self, name: NoticeKey, *, changing: bool = False) -> tuple[int, Opened | None]:
        """Follow the link of a mail; the form is None if the page has none."""
        path = self._links[name] + ("/answers" if changing else "")
        response = self.fetch(self._stage.client.get(path))
        form = Form.of(response.text)
        return response.status_code, Opened(path=path, form=form) if form.forms else None

    def _click(
        self, step: Click, name: NoticeKey | None, answers: Mapping[Question, str]
    ) -> int | None:
        if name is None or not answers:
            return None
        opened = self._pages.get(step.slot) if step.slot else None
        status = 200
        if opened is None:
            status, opened = self.open(name, changing=step.changing)
        if opened is None:
            return status
        filled = opened.form.filled(answers)
        answered = self.fetch(self._stage.client.post(opened.path, data=filled))
        if answered.is_redirect:
            receipt = self.fetch(self._stage.client.get(answered.headers["location"]))
            assert receipt.status_code == 200
        return answered.status_code

    def _named(self, name: NoticeKey) -> UUID:
        names = ("property", "account", "policy_version", "sequence")
        [found] = [row for row in self.notices() if tuple(row[n] for n in names) == name]
        return UUID(found["notice"])


def _outcome(step: Dispatch, key: Key) -> Outcome | Result | None:
    if key in step.rejected:
        return Result("rejected", mailbox=True)
    if key in step.blocked:
        return "rejected"
    return "retry" if key in step.retried else None


class Both:
    """One world, in the real system and in the model."""

    def __init__(self, place: Stage) -> None:
        """Start with an empty world."""
        self.real = Pipeline(place)
        self.player = Player()

    @property
    def world(self) -> World:
        """Return the model's world."""
        return self.player.world

    def take(self, step: Step) -> tuple[Any, Any]:
        """Take a step on both; return the results of the real system and of the model.

        Expiry depends on the planner, which therefore runs before and after it.
        """
        plan = Plan(now=step.now)
        if isinstance(step, Expire):
            self.player.take(plan)
        target = self.player.target(step) if isinstance(step, Look | Click | Report) else None
        answers = self.player.answers(step) if isinstance(step, Click) else None
        seen = self.real.take(step, target, answers)
        expected = self.player.take(step)
        if isinstance(step, Expire):
            self.player.take(plan)
        return seen, expected

    def play(self, story: Sequence[Step]) -> None:
        """Take all steps of a story."""
        for step in story:
            self.take(step)
