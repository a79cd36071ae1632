"""Everything recorded, and the facts about one account, derived again for every query."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.model.addresses import mended
from tests.model.uses import (
    ANY,
    Document,
    Item,
    Pair,
    covers,
    instant,
    meet,
    narrower,
    new_uses,
)

Key = tuple[str, str]  # (property, account)
NoticeKey = tuple[str, str, str, int]  # (property, account, policy version, sequence)

_STRICTNESS = {
    "status": ("active", "deactivated", "deleted"),
    "contact": ("all", "service", "none"),
}


@dataclass(frozen=True, kw_only=True)
class Person:
    """An account's current facts; a stub is active, contact all, without an address."""

    status: str = "active"
    contact: str = "all"
    minor: bool = False
    email: str | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One ledger entry: an allow, a deny or an expiry, as given (ANY: left out)."""

    answer: str  # allow, deny or expire
    item: Item
    decided_at: datetime
    policy_version: str | None = None
    channel: str | None = None
    notice: NoticeKey | None = None
    posted: object = None  # tells a form's answer from the same one sent again


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision of an entry: an allow is expanded over the data that it covers."""

    answer: str
    item: Item
    at: datetime


@dataclass(kw_only=True)
class Register:
    """The raw facts as received; a duplicate is stored twice and counts once."""

    lines: dict[str, list[Document]] = field(default_factory=dict)  # policy -> its versions
    account_events: dict[Key, list[Mapping[str, Any]]] = field(default_factory=dict)
    collections: dict[Key, list[Mapping[str, Any]]] = field(default_factory=dict)
    choices: dict[tuple[str, str, str], Mapping[str, Any]] = field(default_factory=dict)
    """The first choice of each account and id."""
    ledger: dict[Key, list[Entry]] = field(default_factory=dict)
    stated: list[tuple[str, Mapping[str, Any], datetime]] = field(default_factory=list)
    """Everything said on a topic, and from when it counts."""

    # ------------------------------------------------------------------ time

    def counted(
        self, topic: str, event: Mapping[str, Any], time: str, now: datetime
    ) -> Mapping[str, Any]:
        """RULES 27: a fact counts no later than it came in; said again, from when it first did."""
        for said_on, said, since in self.stated:
            if (said_on, said) == (topic, event):
                return {**event, time: since.isoformat()}
        since = min(instant(event[time]), now)
        self.stated.append((topic, event, since))
        return {**event, time: since.isoformat()}

    # ------------------------------------------------------------------ policies

    def line(self, site: str) -> list[Document]:
        """Return the published versions of the policy that lists a property, [] if none does."""
        found = [v for v in self.lines.values() if any(site in one["properties"] for one in v)]
        return found[0] if found else []

    def published(self, site: str) -> dict[str | None, Document]:
        """Return the published versions that data of a property may be collected under."""
        return {version["version"]: version for version in self.line(site)}

    def controller(self, site: str, at: datetime) -> str | None:
        """Return the controller at a time: of the last version in effect, else the first."""
        line = self.line(site)
        effective = [version for version in line if instant(version["effective_at"]) <= at]
        return str((effective or line[:1])[-1]["controller"]) if line else None

    # ------------------------------------------------------------------ accounts

    def known(self) -> set[Key]:
        """Return all accounts, including stubs."""
        return {*self.account_events, *self.collections, *self.ledger}

    def person(self, key: Key) -> Person:
        """RULES 27: the latest event counts; at equal times, the stricter value of each field."""
        events = self.account_events.get(key)
        if not events:
            return Person()
        last = max(instant(event["updated_at"]) for event in events)
        equal = [event for event in events if instant(event["updated_at"]) == last]
        status, contact = (
            max((event[name] for event in equal), key=order.index)
            for name, order in _STRICTNESS.items()
        )
        minor = any(event.get("minor") for event in equal)
        rest = max(
            json.dumps(
                {name: event.get(name) for name in ("locale", "name", "time_zone")}
                | {"email": mended(event.get("email"))},
                sort_keys=True,
                ensure_ascii=False,
            )
            for event in equal
        )
        email = None if minor or status == "deleted" else json.loads(rest)["email"]
        return Person(status=status, contact=contact, minor=minor, email=email)

    def deletion(self, key: Key) -> datetime | None:
        """Return when the account was last deleted, however late the event arrived."""
        return max(
            (
                instant(event["updated_at"])
                for event in self.account_events.get(key, [])
                if event["status"] == "deleted"
            ),
            default=None,
        )

    def since_deletion(self, key: Key, at: datetime) -> bool:
        """Return whether a time is after the account's latest deletion, if any."""
        deletion = self.deletion(key)
        return deletion is None or at > deletion

    def held(self, key: Key) -> dict[Pair, datetime]:
        """RULES 27 and 28: each held pair, and when it was first collected since an erasure."""
        if self.person(key).status == "deleted":
            return {}
        events = self.collections.get(key, [])
        first: dict[Pair, datetime] = {}
        for event in events:
            pair, at = _pair(event), instant(event["collected_at"])
            erased = any(
                other.get("erased")
                and _pair(other) == pair
                and instant(other["collected_at"]) >= at
                for other in events
            )
            if not event.get("erased") and not erased and self.since_deletion(key, at):
                first[pair] = min(at, first.get(pair, at))
        return first

    def ruled(self, key: Key) -> set[Pair]:
        """RULES 4: the held pairs of an unknown or a published version."""
        published = self.published(key[0])
        return {pair for pair in self.held(key) if pair[1] is None or pair[1] in published}

    # ------------------------------------------------------------------ decisions

    def decisions(self, key: Key) -> list[Decision]:
        """RULES 17 and 18: the decisions since the latest deletion, with expanded allows."""
        return [
            Decision(answer=entry.answer, item=item, at=entry.decided_at)
            for entry in self.ledger.get(key, [])
            if self.since_deletion(key, entry.decided_at)
            for item in (self.expanded(key, entry) if entry.answer == "allow" else {entry.item})
        ]

    def expanded(self, key: Key, entry: Entry) -> set[Item]:
        """RULES 17: an allow covers what it names; what it leaves out is all data held then."""
        category, under, use, recipient = entry.item
        if recipient == ANY:
            controller = self.controller(key[0], entry.decided_at)
            if controller is None:
                return set()
            recipient = controller
        if ANY not in (category, under):
            return {(category, under, use, recipient)}
        return {
            (about, k, use, recipient)
            for (c, k), first in self.held(key).items()
            if first <= entry.decided_at and under in (ANY, k)
            if (about := narrower(category, c))
        }

    def standing(self, key: Key) -> list[Decision]:
        """RULES 18: the decisions in order, without those that a later one covers."""
        # An expiry never outweighs an allow or a deny, so it comes first, whatever its time.
        order = ("expire", "allow", "deny")
        ordered = sorted(
            self.decisions(key),
            key=lambda d: (d.answer != "expire", d.at, order.index(d.answer)),
        )
        return [
            decision
            for n, decision in enumerate(ordered)
            if not any(covers(later.item, decision.item) for later in ordered[n + 1 :])
            # Of two at the same moment, the broader one is enough.
            and not any(
                covers(other.item, decision.item) and other.item != decision.item
                for other in ordered
                if (other.answer, other.at) == (decision.answer, decision.at)
            )
        ]

    def withdraws(self, key: Key, item: Item, at: datetime) -> bool:
        """RULES 18: a deny withdraws if it meets a strictly earlier allow."""
        return any(
            decision.answer == "allow" and decision.at < at and meet(decision.item, item)
            for decision in self.decisions(key)
        )

    def new_uses(self, key: Key) -> set[Item]:
        """RULES 5 and 6: the new uses of the account's data by the latest version."""
        line = self.line(key[0])
        return new_uses(self.ruled(key), line[-1], self.published(key[0])) if line else set()

    def ask(self, key: Key) -> frozenset[Item]:
        """RULES 7: the new uses that no standing decision covers."""
        standing = self.standing(key)
        return frozenset(
            item
            for item in self.new_uses(key)
            if not any(covers(decision.item, item) for decision in standing)
        )


def _pair(event: Mapping[str, Any]) -> Pair:
    return event["data_category"], event.get("collected_under")
