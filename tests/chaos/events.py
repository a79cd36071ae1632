"""What happens to some people in one round: facts, a release that asks them, and what follows.

Within each of the three parts nothing depends on the order in which topics are read; the parts
follow one another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import pack
from tests.acceptance.versions import CALLS, EMAIL, OFFERS, PHONE, SERVICE, V1, V2, V3, V4

SITE: Final = "shop.example"
ACCOUNTS: Final = 60
# Long enough ago for any clock.
_START: Final = datetime(2024, 3, 1, tzinfo=UTC)
_INFORMS: Final = {"notice": {"information_mail": "opted_in", "material": True}}

Json = dict[str, Any]
Sent = Mapping[str, str]
"""The last notice that was mailed to each account, by its account."""


class Happenings:
    """The events of one round, in the order in which each key's are told."""

    def __init__(self, chance: Random) -> None:
        """Generate them."""
        self._chance = chance
        self._told = 0
        names = [f"person-{n}" for n in range(ACCOUNTS)]
        people = [message for name in names for message in self._person(name)]
        poison = [
            Message("accounts", f"{SITE}/odd-{n}".encode(), b"{no JSON", (), _START)
            for n in range(chance.randrange(5))
        ]
        self.facts = [_version(V1), _version(V2), *people, *poison]
        self.release = [_version(V3 | _INFORMS)]
        self.last = [_version(V4 | _INFORMS)] if chance.random() < 0.5 else []
        self._next = {name: chance.choice(_NEXT) for name in names if chance.random() < 0.6}
        self._seed = chance.random()

    def answers(self, sent: Sent) -> list[Message]:
        """Return the answers and reports after the release, one for each account.

        Asked again it is the same, but for the notices' names.
        """
        self._chance, self._told = Random(self._seed), 10_000
        return [
            message
            for name, what in self._next.items()
            if (message := self._answer(name, what, sent.get(name)))
        ]

    def _person(self, name: str) -> Iterable[Message]:
        for _ in range(self._chance.choice([1, 1, 2, 3])):
            yield self._account(name, self._time())
        if self._chance.random() < 0.05:
            yield Message("accounts", f"{SITE}/{name}".encode(), None, (), self._time())
        for _ in range(self._chance.choice([1, 1, 2, 3])):
            under = self._chance.choice(["v1", "v1", "v1", "v2", "v3"])
            yield self._collection(name, under, erased=self._chance.random() < 0.1)
        if self._chance.random() < 0.2:
            yield self._choice(name, self._chance.choice(["allow", "deny"]))

    def _account(self, name: str, at: datetime, **changed: object) -> Message:
        data = {
            "email": f"{name}@example.org" if self._chance.random() < 0.95 else None,
            "name": self._chance.choice(["Somebody", "Somebody Else"]),
            "locale": self._chance.choice(["en", "nb"]),
            "status": self._chance.choice(["active"] * 12 + ["deactivated", "deleted"]),
            "contact": self._chance.choice(["all", "all", "all", "service", "none"]),
            "minor": self._chance.random() < 0.05,
            "updated_at": at.isoformat(),
        }
        return self._event("accounts", name, data | changed)

    def _collection(self, name: str, under: str, *, erased: bool = False) -> Message:
        data = {
            "data_category": self._chance.choice([EMAIL, EMAIL, PHONE]),
            "collected_under": under,
            "erased": erased,
            "collected_at": self._time().isoformat(),
        }
        return self._event("collections", name, data)

    def _choice(self, name: str, answer: str) -> Message:
        data = {"answer": answer, "data_use": OFFERS, "decided_at": self._time().isoformat()}
        if self._chance.random() < 0.5:
            data["recipient"] = self._chance.choice(["example", "adpartner"])
        return self._event("choices", name, data)

    def _answer(self, name: str, what: str, notice: str | None) -> Message | None:
        later = _START + timedelta(days=400)
        key = f"{SITE}/{name}".encode()
        match what:
            case "allow" | "deny":
                return self._choice(name, what)
            case "gone":
                return Message("accounts", key, None, (), later)
            case "opted out":
                return self._account(name, later, contact="none", minor=False)
            case "more":
                return self._collection(name, "v1")
        if notice is None:
            return None
        data = {"notice": notice, "event": what, "occurred_at": later.isoformat()}
        return report(data)

    def _time(self) -> datetime:
        return _START + timedelta(minutes=self._chance.randrange(60 * 24 * 300))

    def _event(self, topic: str, name: str, data: Json) -> Message:
        self._told += 1
        value = json.dumps({"property": SITE, "account": name} | data).encode()
        key = f"{SITE}/{name}".encode()
        identity = str(self._told)
        return pack(topic, value, source="urn:chaos", id=identity, time=_START, key=key)


_NEXT: Final = ("allow", "deny", "gone", "opted out", "more", "delivered", "bounced", "complained")


def report(data: Json) -> Message:
    """Return a provider's report about a notice."""
    value = json.dumps(data).encode()
    return Message("mail-events", data["notice"].encode(), value, (), _START)


def checks() -> list[Json]:
    """Return permission checks about everybody."""
    return [
        {
            "property": SITE,
            "account": f"person-{n}",
            "data_category": category,
            "collected_under": under,
            "data_use": data_use,
            "recipient": recipient,
        }
        for n in range(ACCOUNTS)
        for category in (EMAIL, PHONE)
        for under in ("v1", "v2", "v3")
        for data_use in (SERVICE, OFFERS, CALLS)
        for recipient in ("example", "adpartner")
    ]


def interleaved(messages: Sequence[Message], times: int, chance: Random) -> list[Message]:
    """Return each message this many times, with topics and keys interleaved again each time.

    Each time over, what is said of one key in one topic keeps its order.
    """
    streams: dict[object, list[Message]] = {}
    for time in range(times):
        for message in messages:
            name = (message.topic, message.key, time)
            streams.setdefault(name, []).append(message)
    drawn = [name for name, sent in streams.items() for _ in sent]
    chance.shuffle(drawn)
    return [streams[name].pop(0) for name in drawn]


def _version(document: Json) -> Message:
    value = json.dumps(document).encode()
    return Message("policy-versions", document["policy"].encode(), value, (), _START)
