"""The messages of a random world, which other steps are added to (worlds.py).

Messages of one topic and key stay in order, but the last ones may be replayed. Many events are
dated days before their arrival, and some after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

from tests.model.policies import CATEGORIES, PARTIES, START, USES
from tests.model.register import Key
from tests.model.steps import (
    Publish,
    Record,
    Report,
    Step,
    Tombstone,
)

EMAILS = (
    "one@example.org", "two@example.org", " Two@Example.ORG\u200b", "three@example.org",
    "four@bücher.example", "Four@xn--bcher-kva.example", "five@straße.example",
    "five@strasse.example", None,
)  # fmt: skip

_LATE = [timedelta(), timedelta(), timedelta(hours=1), timedelta(days=1), timedelta(days=4)]
_AHEAD = [timedelta(minutes=2), timedelta(hours=30), timedelta(days=5), timedelta(days=90)]
PAUSES = [timedelta(), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)]
PAUSES += [timedelta(days=6)]
_LONG_AGO = (START - timedelta(days=400)).isoformat()

T = TypeVar("T")

# ---------------------------------------------------------------------- steps


@dataclass(kw_only=True)
class Messages:
    """The messages of one story under construction."""

    accounts: list[Key]
    unpublished: list[list[dict[str, Any]]]
    rejections: bool
    chance: Random = field(default_factory=Random)
    now: datetime = START
    steps: list[Step] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)

    def one(self, choices: Sequence[T]) -> T:
        """Choose one."""
        return self.chance.choice(choices)

    def when(self) -> datetime:
        """A time up to now; often that of another event."""
        past = [time for time in self.times if time <= self.now]
        if past and self.chance.random() < 0.3:
            return self.one(past)
        self.times.append(self.now - self.one(_LATE))
        return self.times[-1]

    def stated(self) -> datetime:
        """A time as another clock shows it: sometimes ahead."""
        if self.chance.random() < 0.8:
            return self.when()
        ahead = [time for time in self.times if time > self.now]
        if ahead and self.chance.random() < 0.5:
            return self.one(ahead)
        self.times.append(self.now + self.one(_AHEAD))
        return self.times[-1]

    def key(self) -> Key:
        """Choose an account."""
        return self.one(self.accounts)

    def under(self) -> str | None:
        """Choose a version, or none."""
        return self.one([*["v1"] * 6, *["v2"] * 3, "v3", "v4", None, "never"])

    def publish(self) -> None:
        """Publish the next version of a line."""
        remaining = [line for line in self.unpublished if line]
        if remaining:
            self.steps.append(Publish(now=self.now, document=self.one(remaining).pop(0)))

    def account(self) -> None:
        """Send an account as it is now."""
        site, name = self.key()
        data: dict[str, Any] = {"property": site, "account": name}
        data["status"] = self.one(["active"] * 12 + ["deactivated", "deactivated", "deleted"])
        data["contact"] = self.one(["all", "all", "all", "all", "service", "service", "none"])
        data["updated_at"] = self.stated().isoformat()
        optional: dict[str, Any] = {
            "email": self.one(EMAILS),
            "name": self.one([None, "Somebody"]),
            "locale": self.one([None, "en", "nb-NO"]),
            "minor": self.one([None] * 12 + [False, True]),
            "opted_in_at": self.one([None, None, None, data["updated_at"], _LONG_AGO]),
            "email_verified_at": self.one([None, None, data["updated_at"], _LONG_AGO]),
        }
        data |= {field: value for field, value in optional.items() if value is not None}
        self.record("accounts", data)

    def tombstone(self) -> None:
        """Delete an account by a tombstone."""
        self.steps.append(Tombstone(now=self.now, key=self.key(), at=self.when()))

    def collection(self) -> None:
        """Send a collection, or an erasure."""
        site, name = self.key()
        data: dict[str, Any] = {"property": site, "account": name}
        data |= {"data_category": self.one(CATEGORIES), "collected_under": self.under()}
        data["collected_at"] = self.stated().isoformat()
        if self.one([False] * 5 + [True]):
            data["erased"] = True
        self.record("collections", data)

    def choice(self) -> None:
        """Send a choice made elsewhere; sometimes the other answer is given at the same time."""
        site, name = self.key()
        answer, other = self.one([("allow", "deny"), ("deny", "allow")])
        data = {"property": site, "account": name, "answer": answer}
        data |= {"data_use": self.one(USES), "decided_at": self.stated().isoformat()}
        optional: dict[str, Any] = {
            "recipient": self.one([None, *PARTIES]),
            "data_category": self.one([None, *CATEGORIES]),
            "collected_under": self.one([None, None, self.under()]),
            "policy_version": self.one([None, "v1"]),
            "channel": self.one([None, "phone"]),
        }
        data |= {field: value for field, value in optional.items() if value is not None}
        self.record("choices", data)
        if self.one([False, False, True]):
            self.record("choices", data | {"answer": other})

    def record(self, topic: str, data: dict[str, Any]) -> None:
        """Send facts."""
        identity = f"{topic}-{len(self.steps)}"
        self.steps.append(Record(now=self.now, topic=topic, data=data, identity=identity))

    def report(self, event: str | None = None) -> None:
        """Send a report about a mail, or an address."""
        kinds = ["delivered", "deferred", "bounced", "dropped", "complained", "unsubscribed"]
        event = event or self.one(kinds)
        self.steps.append(
            Report(
                now=self.now,
                pick=self.chance.randrange(6),
                event=event,
                occurred_at=self.when(),
                reason=self.one([None, None, "552 5.2.2 full", "blocked: listed"]),
                email=self.one([None, None, None, *EMAILS]),
                identity=f"mail-events-{len(self.steps)}",
            )
        )

    def names(self, key: Key, email: str, **more: str) -> None:
        """Let an account name an address."""
        data = {"property": key[0], "account": key[1], "status": "active", "contact": "all"}
        data |= {"email": email, "updated_at": self.now.isoformat()}
        self.record("accounts", data | more)

    def holds(self, key: Key, email: str) -> None:
        """Let an account name an address, and hold something."""
        self.names(key, email)
        data = {"property": key[0], "account": key[1], "collected_under": "v1"}
        data |= {"data_category": self.one(CATEGORIES), "collected_at": self.now.isoformat()}
        self.record("collections", data)

    def says(self, event: str, email: str, reason: str | None = None) -> None:
        """Send a report about an address, dated now."""
        self.steps.append(
            Report(
                now=self.now,
                event=event,
                occurred_at=self.now,
                email=email,
                reason=reason,
                identity=f"mail-events-{len(self.steps)}",
            )
        )

    def again(self) -> None:
        """Replay the last messages of one topic and key."""
        sent = [step for step in self.steps if stream(step)]
        if sent:
            first = self.chance.randrange(len(sent))
            repeated = stream(sent[first])
            stretch = [step for step in sent[first:] if stream(step) == repeated]
            self.steps += [replace(step, now=self.now) for step in stretch]


def stream(step: Step) -> tuple[object, ...] | None:
    """Return the topic and key of a message, None for other steps."""
    match step:
        case Publish():
            return "policy-versions", step.document["policy"]
        case Record():
            return step.topic, step.data["property"], step.data["account"]
        case Tombstone():
            return ("accounts", *step.key)
        case Report():
            return "mail-events", step.identity
    return None
