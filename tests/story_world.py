"""A small world for tests of `reconsent explain`: two versions, any accounts, real mail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconsent.cli.explain_report import story
from reconsent.domain.event import parse
from reconsent.domain.received import Received
from reconsent.domain.signing import Signer
from reconsent.facts.read.account_story import account_json
from reconsent.facts.read.permissions import Permissions
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.mail.maildir import Maildir
from reconsent.store.leases import Lease
from reconsent.store.postgres import Database
from reconsent.workers.dispatcher import Dispatcher
from reconsent.workers.planner import Planner
from reconsent.workers.running import run_until_idle
from reconsent.workers.scheduler import Scheduler
from tests.mails import clock

PROPERTY = "campaigner.example"
EMAIL = "zq8841@mail.example"
NAME = "Zebedee Quux"
PRIVATE = (EMAIL, "zq8841", "mail.example", "Zebedee", "Quux")
CONTROLLER = "acme"
BEFORE, AFTER = datetime(2027, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
OFFERS = "marketing.communications.email"


def version(name: str, follows: str | None, uses: list[str], effective_at: str) -> dict[str, Any]:
    """Return a version that declares uses of email addresses."""
    return {
        "policy": "campaigner",
        "version": name,
        "follows": follows,
        "effective_at": effective_at,
        "controller": CONTROLLER,
        "properties": [PROPERTY],
        "declares": [{"data": "user.contact.email", "uses": uses}],
        "texts": {"en": {"title": "Policy", "summary": "What changes", "body": "Words."}},
    }


V1 = version("v1", None, ["essential.service", "analytics"], "2020-01-01T00:00:00Z")
V2 = version("v2", "v1", ["essential.service", OFFERS], "2030-01-01T00:00:00Z")


class World:
    """A database with a planner and a dispatcher, and a way to record events."""

    def __init__(self, database: Database, dispatcher: Dispatcher) -> None:
        """Publish the first version."""
        self.database = database
        self._services = (Planner(database), dispatcher)
        self._versions = PublishedVersions()
        self._recorder = Recorder(self._versions, Signer("secret").address_hash)
        self._recorded = 0
        self.record("policy-versions", V1)

    def record(self, topic: str, data: dict[str, Any]) -> None:
        """Record an event."""
        self._recorded += 1
        event = parse(topic, json.dumps(data).encode())
        received = Received(topic, "urn:test", str(self._recorded), event)
        with self.database.connection() as connection:
            assert self._recorder.record(connection, [received]).refused == ()

    def account(self, account: str, **changed: Any) -> None:  # noqa: ANN401 (as in an event)
        """Record an account: active, contact all and with an address, unless changed."""
        whole = {
            "property": PROPERTY,
            "account": account,
            "email": EMAIL,
            "name": NAME,
            "status": "active",
            "contact": "all",
            "updated_at": "2024-01-01T00:00:00Z",
        }
        self.record("accounts", whole | changed)

    def collected(self, account: str, under: str | None = "v1", **changed: Any) -> None:  # noqa: ANN401 (as in an event)
        """Record that an account's email address was collected."""
        whole = {
            "property": PROPERTY,
            "account": account,
            "data_category": "user.contact.email",
            "collected_under": under,
            "collected_at": "2024-01-02T03:04:05Z",
        }
        self.record("collections", whole | changed)

    def chose(self, account: str, answer: str, at: str, **named: Any) -> None:  # noqa: ANN401 (as in an event)
        """Record a choice about offers by email."""
        choice = {
            "property": PROPERTY,
            "account": account,
            "answer": answer,
            "data_use": OFFERS,
            "channel": "phone",
            "evidence": {"caller": NAME},
            "decided_at": at,
        }
        self.record("choices", choice | named)

    def release(self, **notice: Any) -> None:  # noqa: ANN401 (as in a policy file)
        """Publish the second version, then plan and send."""
        self.record("policy-versions", V2 | {"notice": notice})
        self.work()

    def time_passes(self) -> None:
        """Run the scheduler as of a hundred days later."""
        later = datetime.now(UTC) + timedelta(days=100)
        scheduler = Scheduler(
            self.database,
            lambda: later,
            delivery="at_most_once",
            settle_after=timedelta(days=1),
        )
        run_until_idle([scheduler])

    def work(self) -> None:
        """Plan and send until idle."""
        run_until_idle(self._services)

    def json(self, account: str, at: datetime = BEFORE, site: str = PROPERTY) -> dict[str, Any]:
        """Return an account's story after a round trip through JSON."""
        with self.database.connection() as connection:
            policies = self._versions.now(connection)
            found = account_json(connection, Cohorts(), policies, site, account, at=at)
        assert found is not None
        return dict(json.loads(json.dumps(found)))

    def permits(self, found: dict[str, Any], at: datetime) -> list[tuple[Any, ...]]:
        """Return the answers of permission checks for each use in a story."""
        names = ("data_category", "collected_under", "data_use", "recipient")
        checks = [
            {"property": found["property"], "account": found["account"], "at": at}
            | {name: use[name] for name in names}
            for use in found["permissions"]
        ]
        with self.database.connection() as connection:
            policies = self._versions.now(connection)
            found_answers = Permissions(Cohorts()).answer(
                connection, checks, policies, at, evidence=True
            )
        answers = map(json.loads, found_answers)
        return [
            (a["allowed"], a["reason"], a["suppression"], a["evidence"]["rule"]) for a in answers
        ]


@contextmanager
def small_world(conninfo: str, database: Database, mailbox: Path) -> Iterator[World]:
    """Yield a world in which v1 is published and mail goes into a folder."""
    lease = Lease(conninfo)
    dispatcher = Dispatcher(
        database,
        lease,
        Maildir(mailbox, clock),
        Signer("secret"),
        public_url="http://localhost",
        sender="Privacy <privacy@localhost>",
        now=clock,
    )
    try:
        yield World(database, dispatcher)
    finally:
        lease.close()


def checked_text(account: dict[str, Any]) -> str:
    """Return the story as text, after checking what holds for every story."""
    lines = story(account, None)
    for line in lines:
        is_heading = not line.startswith(" ") or line.endswith(":")
        assert is_heading or re.search(r" \(rule ([1-9]|1\d|2\d)\)$", line), line
    text = "\n".join(lines)
    written = json.dumps(account)
    for private in PRIVATE:
        assert private not in text
        assert private not in written
    return text


def line_with(text: str, *parts: str) -> str:
    """Return the one line that contains all parts."""
    [found] = [line for line in text.splitlines() if all(part in line for part in parts)]
    return found


def permission(account: dict[str, Any], data_use: str) -> tuple[Any, ...]:
    """Return the story's permission for one use by the controller."""
    [found] = [
        use
        for use in account["permissions"]
        if use["data_use"] == data_use and use["recipient"] == CONTROLLER
    ]
    return found["allowed"], found["reason"], found["suppression"], found["rule"]


def fates(account: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the version, kind, state, suppression and settlement of an account's notices."""
    return [
        (n["policy_version"], n["kind"], n["state"], n["suppression"], n["settled"])
        for n in account["notices"]
    ]
