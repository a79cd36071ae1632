"""A release whose mails a scripted provider takes, at a clock that tests set."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from reconsent.domain.change import as_event
from reconsent.domain.mail import Delivery
from reconsent.facts.sending.releases import Order, apply_flags, order
from reconsent.facts.versions import PublishedVersions
from reconsent.workers.scheduler import Scheduler
from tests.drafts import draft, row
from tests.integration.pipeline import Pipeline
from tests.integration.stage import Stage
from tests.model.steps import Publish, Record

START = datetime(2027, 1, 1, tzinfo=UTC)
SITE = "campaigner.example"


class Sending:
    """A release whose second version asks one question."""

    def __init__(self, place: Stage) -> None:
        """Publish the first version; there are no accounts yet."""
        self.place = place
        self.pipeline = Pipeline(place)
        self.place.clock = START
        self.scheduler = self.pipeline.scheduler
        self._publish("v1", None, "essential.service")
        self.pipeline.settle()

    def people(self, *accounts: str, **fields: Any) -> None:  # noqa: ANN401 -- JSON
        """Create accounts whose address was collected under the first version."""
        for account in accounts:
            self.account(account, **fields)
            data = {"data_category": "user.contact.email", "collected_under": "v1"}
            self._record("collections", account, data, "collected_at")
        self.pipeline.settle()

    def account(self, account: str, **fields: Any) -> None:  # noqa: ANN401 -- JSON
        """Record an account as of now."""
        data = {"status": "active", "contact": "all", "email": f"{account}@example.org"}
        self._record("accounts", account, data | fields, "updated_at")
        self.pipeline.settle()

    def release(self, **notice: Any) -> None:  # noqa: ANN401 -- JSON
        """Publish the second version and plan it."""
        self._publish("v2", "v1", "essential.service", "marketing", **notice)
        self.pipeline.settle()
        self.pipeline.plan()

    def say(self, account: str, answer: str) -> None:
        """Record an answer that was not given on the page."""
        data = {"answer": answer, "data_use": "marketing"}
        self._record("choices", account, data, "decided_at")
        self.pipeline.settle()
        self.pipeline.plan()

    def send(self) -> list[str]:
        """Send what is due; return the addresses."""
        before = len(self.pipeline.mailbox.kept)
        while self.pipeline.dispatcher.work():
            pass
        return [to.email for _, to in self.pipeline.mailbox.kept[before:]]

    def later(self, time: timedelta) -> list[str]:
        """Advance the clock, run the scheduler and send; return the addresses."""
        self.place.clock += time
        while self.scheduler.work():
            pass
        self.pipeline.plan()
        return self.send()

    def states(self) -> list[tuple[str, str, str | None]]:
        """List the kind, state and suppression of all notices."""
        return [(n["kind"], n["state"], n["suppression"]) for n in self.pipeline.notices()]

    def answers(self, account: str, outcome: Any) -> None:  # noqa: ANN401 -- an outcome
        """Set the provider's result for an account's first notice."""
        [notice] = [n for n in self.pipeline.notices() if n["account"] == account]
        self.pipeline.mailbox.answers[UUID(notice["notice"])] = outcome

    def order(self, what: Order) -> bool:
        """Give an order for the release."""
        policies = self.place.database.transaction(PublishedVersions().now)
        done = self.place.database.transaction(
            lambda c: order(c, policies, what, "campaigner", "v2")
        )
        while self.place.database.transaction(lambda c: apply_flags(c, policies, 2)):
            pass
        return done

    def schedule(self, delivery: Delivery, settle_after: timedelta) -> None:
        """Set how unknown outcomes are settled."""
        self.scheduler = Scheduler(
            self.place.database, self.place.now, delivery=delivery, settle_after=settle_after
        )

    def _publish(self, version: str, follows: str | None, *uses: str, **notice: Any) -> None:  # noqa: ANN401
        made = draft(
            version=version,
            follows=follows,
            effective_at="2026-01-01T00:00:00Z",
            properties=[SITE],
            declares=[row("user.contact.email", *uses)],
            notice=notice,
        )
        self.pipeline.take(Publish(now=self.place.clock, document=json.loads(as_event(made))))

    def _record(self, topic: str, account: str, data: dict[str, Any], time: str) -> None:
        event = {"property": SITE, "account": account, time: self.place.clock.isoformat()} | data
        identity = f"{topic} {account} {self.place.clock}"
        self.pipeline.take(Record(now=self.place.clock, topic=topic, data=event, identity=identity))
