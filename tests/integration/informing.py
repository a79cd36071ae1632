"""A site that mails each version to accounts that opted in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from httpx import Response

from reconsent.domain.bus import Message
from reconsent.domain.change import as_event
from tests.drafts import draft, row
from tests.integration.pipeline import Pipeline
from tests.integration.stage import URL, Stage
from tests.model.steps import Publish, Record

START: Final = datetime(2027, 1, 1, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
SITE: Final = "campaigner.example"


class Informing:
    """A site whose versions are material and mailed to accounts that opted in."""

    def __init__(self, place: Stage) -> None:
        """Publish the first version; there are no accounts yet."""
        self.place = place
        self.pipeline = Pipeline(place)
        self.place.clock = START
        self.versions = 0
        self.publish()

    def account(self, account: str, at: datetime | None = None, **fields: Any) -> None:  # noqa: ANN401 -- JSON
        """Record an account, as of now or another time."""
        known = {"status": "active", "contact": "all", "email": f"{account}@example.org"}
        self._record("accounts", account, known | fields, "updated_at", at)

    def collected(self, account: str, under: str | None = "v1") -> None:
        """Record that an account's address was collected under a version."""
        data = {"data_category": "user.contact.email", "collected_under": under}
        self._record("collections", account, data, "collected_at", None)

    def reported(self, notice: str, event: str, at: datetime) -> None:
        """Record a provider's report."""
        data = {"notice": notice, "event": event, "occurred_at": at.isoformat()}
        value = json.dumps(data).encode()
        message = Message("mail-events", notice.encode(), value, (), self.place.clock)
        self.place.producer.send([message])
        self.pipeline.settle()

    def publish(self, *more_uses: str) -> None:
        """Publish the next version, an hour later, and plan it."""
        self.place.clock += HOUR
        self.versions += 1
        made = draft(
            version=f"v{self.versions}",
            follows=f"v{self.versions - 1}" if self.versions > 1 else None,
            effective_at="2026-01-01T00:00:00Z",
            properties=[SITE],
            declares=[row("user.contact.email", "essential.service", *more_uses)],
            notice={"information_mail": "opted_in", "material": True, "reminders": ["P1D"]},
        )
        self.pipeline.take(Publish(now=self.place.clock, document=json.loads(as_event(made))))
        self.pipeline.settle()
        self.pipeline.plan()

    def send(self) -> list[str]:
        """Send what is due; return the accounts."""
        before = len(self.pipeline.mailbox.kept)
        while self.pipeline.dispatcher.work():
            pass
        return sorted(to.email[0] for _, to in self.pipeline.mailbox.kept[before:])

    def after(self, time: timedelta) -> list[str]:
        """Let time pass; return who gets a mail."""
        self.place.clock += time
        while self.pipeline.scheduler.work():
            pass
        self.pipeline.plan()
        return self.send()

    def informed(self) -> list[str]:
        """Publish a version and send its mails; return the accounts."""
        self.publish()
        return self.send()

    def link(self, account: str) -> str:
        """Return the path of the unsubscribe link in the last mail to an account."""
        mails = [to for _, to in self.pipeline.mailbox.kept if to.email[0] == account[0]]
        return mails[-1].link.removeprefix(URL)

    def notice(self, account: str) -> str:
        """Return the notice of the last mail to an account."""
        mails = [to for _, to in self.pipeline.mailbox.kept if to.email[0] == account[0]]
        return mails[-1].notice

    def get(self, path: str, method: str = "GET") -> Response:
        """Open a page."""
        return self.pipeline.fetch(self.place.client.request(method, path))

    def post(self, path: str, **request: Any) -> Response:  # noqa: ANN401 -- as httpx has it
        """Post to a page, an hour later."""
        self.place.clock += HOUR
        answer = self.pipeline.fetch(self.place.client.post(path, **request))
        self.pipeline.plan()
        return answer

    def last(self, account: str) -> tuple[str, str | None]:
        """Return the state and the suppression of an account's last notice."""
        notices = [n for n in self.pipeline.notices() if n["account"] == account]
        return notices[-1]["state"], notices[-1]["suppression"]

    def kept(self) -> list[tuple[Any, ...]]:
        """Return the unsubscribes: account, reason, channel, time."""
        with self.place.database.connection() as connection:
            return connection.execute(
                "SELECT account, reason, channel, occurred_at FROM unsubscribes"
                " JOIN accounts USING (bucket, account_key) ORDER BY account, occurred_at, reason"
            ).fetchall()

    def unsubscribed(self, account: str) -> bool:
        """Tell whether an account is unsubscribed."""
        with self.place.database.connection() as connection:
            rows = connection.execute(
                "SELECT unsubscribed FROM accounts WHERE account = %s", [account]
            )
            return bool(rows.fetchall()[0][0])

    def _record(
        self, topic: str, account: str, data: dict[str, Any], time: str, at: datetime | None
    ) -> None:
        self.place.clock += timedelta(minutes=1)
        moment = (at or self.place.clock).isoformat()
        event = {"property": SITE, "account": account, time: moment} | data
        identity = f"{topic} {account} {self.place.clock}"
        self.pipeline.take(Record(now=self.place.clock, topic=topic, data=event, identity=identity))
        self.pipeline.settle()
