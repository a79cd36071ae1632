"""Random worlds for hypothesis: small ones, so that the same few keys interact often.

`stories()` generates lists of steps (steps.py). Topics are interleaved at random. Messages of one
topic and key stay in order, but the last ones may be replayed. Many events are dated days before
their arrival, and some after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st

from tests.model.policies import CATEGORIES, PARTIES, SEEDS, START, USES, lines
from tests.model.register import Key
from tests.model.steps import (
    Click,
    Dispatch,
    Expire,
    Look,
    Permit,
    Plan,
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
_PAUSES = [timedelta(), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)]
_PAUSES += [timedelta(days=6)]
_LONG_AGO = (START - timedelta(days=400)).isoformat()

T = TypeVar("T")

# ---------------------------------------------------------------------- steps


@dataclass(kw_only=True)
class _Story:
    """One story under construction."""

    accounts: list[Key]
    unpublished: list[list[dict[str, Any]]]
    rejections: bool
    chance: Random = field(default_factory=Random)
    now: datetime = START
    steps: list[Step] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)

    def one(self, choices: Sequence[T]) -> T:
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
        return self.one(self.accounts)

    def under(self) -> str | None:
        return self.one([*["v1"] * 6, *["v2"] * 3, "v3", "v4", None, "never"])

    def add(self, kind: str, seed: int) -> None:
        """Add the next steps; kinds are the names of the methods below."""
        self.chance = Random(seed)
        self.now += self.one(_PAUSES)
        getattr(self, kind)()

    def publish(self) -> None:
        remaining = [line for line in self.unpublished if line]
        if remaining:
            self.steps.append(Publish(now=self.now, document=self.one(remaining).pop(0)))

    def account(self) -> None:
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
        self._record("accounts", data)

    def tombstone(self) -> None:
        self.steps.append(Tombstone(now=self.now, key=self.key(), at=self.when()))

    def collection(self) -> None:
        site, name = self.key()
        data: dict[str, Any] = {"property": site, "account": name}
        data |= {"data_category": self.one(CATEGORIES), "collected_under": self.under()}
        data["collected_at"] = self.stated().isoformat()
        if self.one([False] * 5 + [True]):
            data["erased"] = True
        self._record("collections", data)

    def choice(self) -> None:
        site, name = self.key()
        data = {"property": site, "account": name, "answer": self.one(["allow", "deny"])}
        data |= {"data_use": self.one(USES), "decided_at": self.stated().isoformat()}
        optional: dict[str, Any] = {
            "recipient": self.one([None, *PARTIES]),
            "data_category": self.one([None, *CATEGORIES]),
            "collected_under": self.one([None, None, self.under()]),
            "policy_version": self.one([None, "v1"]),
            "channel": self.one([None, "phone"]),
        }
        data |= {field: value for field, value in optional.items() if value is not None}
        self._record("choices", data)

    def _record(self, topic: str, data: dict[str, Any]) -> None:
        identity = f"{topic}-{len(self.steps)}"
        self.steps.append(Record(now=self.now, topic=topic, data=data, identity=identity))

    def report(self, event: str | None = None) -> None:
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

    def plan(self) -> None:
        self.steps.append(Plan(now=self.now))

    def dispatch(self) -> None:
        rejected = [self.key()] if self.rejections and self.one([False] * 5 + [True]) else []
        blocked = [self.key()] if self.rejections and self.one([False] * 5 + [True]) else []
        retried = [self.key()] if self.rejections and self.one([False] * 7 + [True]) else []
        self.steps.append(
            Dispatch(
                now=self.now,
                rejected=frozenset(rejected),
                blocked=frozenset(blocked),
                retried=frozenset(retried),
            )
        )

    def mail(self) -> None:
        self.plan()
        self.dispatch()

    def overtaken(self) -> None:
        """A later version supersedes planned notices before they are mailed."""
        self.publish()
        self.plan()
        self.publish()

    def moved(self) -> None:
        """Mail bounces or is rejected; then one account, or all, get another address."""
        self.plan()
        refused = self.accounts if self.rejections and self.one([False, True]) else []
        self.steps.append(Dispatch(now=self.now, rejected=frozenset(refused)))
        if not refused:
            self.report("bounced")
        for site, name in self.accounts[: self.one([1, len(self.accounts)])]:
            data = {"property": site, "account": name, "status": "active", "contact": "all"}
            address = {"email": f"{name}-{len(self.steps)}@example.org"}
            self._record("accounts", data | address | {"updated_at": self.now.isoformat()})
        self.mail()

    def returned(self) -> None:
        """Mail comes back, a week passes, and perhaps the mailbox takes mail again."""
        self.mail()
        pick, said = self.chance.randrange(6), self.one(["bounced", "bounced", "dropped"])
        reason = self.one([None, "552 5.2.2 full"])
        self.steps.append(
            Report(
                now=self.now,
                pick=pick,
                event=said,
                occurred_at=self.now,
                reason=reason,
                identity=f"mail-events-{len(self.steps)}",
            )
        )
        self.now += self.one([timedelta(days=1), timedelta(days=7)])
        self.expire()
        if self.one([False, True]):
            self.report("delivered")
        self.mail()

    def expire(self) -> None:
        self.steps.append(Expire(now=self.now))

    def look(self) -> None:
        self.steps.append(
            Look(
                now=self.now,
                pick=self.chance.randrange(6),
                slot="page",
                changing=self.one([False, False, True]),
            )
        )

    def stale(self) -> None:
        """Something changes between the opening of a page and the click."""
        self.look()
        getattr(self, self.one(["publish", "publish", "collection", "tombstone"]))()
        self.click("page")

    def click(self, slot: str | None = None) -> None:
        pattern = self.chance.choices(["allow", "deny", None], k=self.one([1, 2, 3]))
        self.steps.append(
            Click(
                now=self.now,
                pick=self.chance.randrange(6),
                pattern=tuple(pattern),
                slot=slot or self.one([None, None, "page"]),
                changing=self.one([False, False, True]),
            )
        )

    def permit(self) -> None:
        self.steps.append(
            Permit(
                now=self.now,
                key=self.one(
                    [*self.accounts * 4, ("site.example", "stranger"), ("nowhere", "ann")]
                ),
                data_category=self.one(CATEGORIES),
                collected_under=self.under(),
                data_use=self.one(USES),
                recipient=self.one([None, *PARTIES]),
                at=self.one([None, self.now + timedelta(days=10)]),
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


_KINDS = (
    *("publish",) * 2,
    *("account",) * 3,
    *("collection",) * 4,
    *("choice",) * 3,
    *("mail",) * 4,
    *("click",) * 5,
    *("report",) * 2,
    *("permit", "plan", "dispatch", "expire", "look", "stale", "tombstone"),
    *("again", "overtaken", "moved", "returned"),
)

NO_MAIL = frozenset(
    (
        *("mail", "dispatch", "click", "look", "stale", "report", "expire", "overtaken"),
        *("moved", "returned"),
    )
)
"""The kinds to leave out of a story without mail before its end."""


@st.composite
def stories(
    draw: st.DrawFn,
    *,
    min_steps: int = 12,
    max_steps: int = 40,
    rejections: bool = False,
    leave_out: frozenset[str] = frozenset(),
) -> list[Step]:
    """Return a random world as steps; `leave_out` names kinds of step (methods of _Story).

    It ends planned, mailed and expired, so that the compared state is final.
    """
    sites = draw(st.sampled_from([("site.example",), ("site.example", "app.example")]))
    policies = [draw(lines("policy", sites))]
    if draw(st.booleans()):
        policies.append(draw(lines("other", ("other.example",))))
        sites = (*sites, "other.example")
    names = st.tuples(st.sampled_from(sites), st.sampled_from(["ann", "bo", "cy"]))
    accounts = draw(st.lists(names, min_size=2, max_size=4, unique=True))
    story = _Story(accounts=accounts, unpublished=policies, rejections=rejections)
    kinds = [kind for kind in _KINDS if kind not in leave_out]
    beginning = ["publish"] * len(policies)
    beginning += ["account", "collection", "collection"] * len(accounts)
    first = "mail" if "overtaken" in leave_out else draw(st.sampled_from(["mail", "overtaken"]))
    opening = [*draw(st.permutations(beginning)), *["publish"] * len(policies), first]
    for kind in opening:
        story.add(kind, draw(SEEDS))
    more = st.tuples(st.sampled_from(kinds), SEEDS)
    for kind, seed in draw(st.lists(more, min_size=min_steps, max_size=max_steps)):
        story.add(kind, seed)
    for kind in ("mail", "expire", "mail"):
        story.add(kind, 0)
    return story.steps
