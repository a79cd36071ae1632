"""Accounts in every situation, and two versions that concern most of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from tests.model.cases import SITE, load
from tests.model.steps import Publish, Record, Step

NOW: Final = datetime(2027, 1, 10, tzinfo=UTC)
_VERSIONS: Final = load()[0].versions
_CATEGORIES: Final = ("user.contact.email", "user.contact.phone", "user")
_DAY: Final = timedelta(days=1)


def crowd(size: int) -> list[Step]:
    """Return the steps: v1 and v2 are published, accounts arrive, then v3 asks and informs."""
    inform = {"notice": {"information_mail": "opted_in"}}
    documents = [_VERSIONS["v1"], _VERSIONS["v2"], {**_VERSIONS["v3"], **inform}]
    publish = [Publish(now=NOW, document=document) for document in documents]
    return [*publish[:2], *_people(size, Random(size)), publish[2]]


def _people(size: int, chance: Random) -> Iterator[Step]:
    for n in range(size):
        who = {"property": SITE, "account": f"person-{n}"}
        yield _record("accounts", n, who | _profile(n, chance))
        for category in chance.sample(_CATEGORIES, chance.choice([1, 2])):
            under = chance.choice(["v1", "v1", "v2", None])
            data = {"data_category": category, "collected_under": under}
            yield _record("collections", f"{n} {category}", who | data | _at("collected_at"))
        if chance.random() < 0.3:
            choice = {"answer": chance.choice(["allow", "deny"]), "data_use": "marketing"}
            yield _record("choices", n, who | choice | _at("decided_at"))


def _profile(n: int, chance: Random) -> dict[str, Any]:
    return {
        "email": f"person-{n}@example.org" if n % 17 else None,
        "status": chance.choice(["active"] * 8 + ["deactivated", "deleted"]),
        "contact": chance.choice(["all", "all", "service", "service", "none"]),
        "minor": chance.random() < 0.1,
        "updated_at": (NOW - 2 * _DAY).isoformat(),
    }


def _at(name: str) -> dict[str, str]:
    return {name: (NOW - _DAY).isoformat()}


def _record(topic: str, identity: object, data: dict[str, Any]) -> Record:
    return Record(now=NOW, topic=topic, data=data, identity=f"{topic} {identity}")
