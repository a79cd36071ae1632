"""Invented people for the two policies in `examples/`: their accounts, data and choices.

`people` deals each account a place (a property of one of the policies), a life (what became of the
account) and a history (what was collected under which version) from shuffled decks, so every
hundred people show every case in the same proportions. `choices` lets a share of them answer by
telephone or in an app. The same count and seed give the same people, and a smaller count gives the
first of a larger one. All events are the bare data of their topics. All times are before 2026-11-21
(choices: unless `decided_from` is later), and all addresses end in example.org or example.no.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING, TypeVar

from reconsent.demo.cases import (
    EMAIL,
    HISTORIES,
    LIVES,
    MIDDLE,
    NEWEST,
    OLDEST,
    PLACES,
    SAYINGS,
    Collected,
    ExamplePolicy,
    Life,
    Place,
    Spoken,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

SEED = 20261
Event = dict[str, object]
_Card = TypeVar("_Card")

_CHOICES_FROM = datetime(2026, 11, 20, 12, tzinfo=UTC)
_BEFORE_RECORDS = datetime(2010, 1, 1, tzinfo=UTC)
# The last days before the newest versions: people who sign up then already see the new text.
_NEW_FORM = datetime(2026, 11, 1, tzinfo=UTC)
_LAST_DAY = datetime(2026, 11, 20, tzinfo=UTC)
_LIVES_CHANGE = datetime(2020, 1, 1, tzinfo=UTC)

_GIVEN = ("Ada", "Birk", "Chloe", "Farid", "Ingrid", "Jørgen", "Kemi", "Noor", "Priya", "Åse")
_FAMILY = ("Baker", "Costa", "Dahl", "Fischer", "Holm", "Khan", "Moen", "Nguyen", "Okafor", "Østby")
_ASCII = str.maketrans("æøå", "aoa")
_SHARED_ADDRESS_EVERY = 50  # some people have two accounts and one address


@dataclass(frozen=True, kw_only=True)
class Person:
    """One invented account: its account events, oldest first, and its collection events."""

    accounts: tuple[Event, ...]
    collections: tuple[Event, ...]

    @property
    def account(self) -> Event:
        """The account as it is now: the last of its events."""
        return self.accounts[-1]


def people(count: int, *, seed: int = SEED) -> Iterator[Person]:
    """Invent `count` accounts, the same ones for the same seed."""
    rng = random.Random(seed)  # noqa: S311  invented people need no cryptographic randomness
    places, lives, histories = _deal(PLACES, rng), _deal(LIVES, rng), _deal(HISTORIES, rng)
    mailbox = ""
    for number in range(1, count + 1):
        place, life, history = next(places), next(lives), next(histories)
        given, family = rng.choice(_GIVEN), rng.choice(_FAMILY)
        if number % _SHARED_ADDRESS_EVERY or not mailbox:
            mailbox = f"{given}.{family}.{number}".lower().translate(_ASCII)
        key: Event = {"property": place.site, "account": f"{place.policy.name[0]}{number:07d}"}
        locale, time_zone = rng.choice(place.policy.locales)
        whole: Event = {
            **key,
            **({"email": f"{mailbox}@{place.policy.mail_domain}"} if life.email else {}),
            "name": f"{given} {family}",
            "locale": locale,
            "time_zone": time_zone,
        }
        accounts = tuple(_accounts(key, whole, life, place, rng))
        collected = _collections(key, place, history, rng)
        collections = tuple(_unless_deleted(collected, accounts, place.policy))
        yield Person(accounts=accounts, collections=collections)


def choices(
    count: int, *, seed: int = SEED, share: float = 0.15, decided_from: datetime = _CHOICES_FROM
) -> Iterator[Event]:
    """Yield the choices that a share of the same people make by telephone or in an app.

    Choices about the newest version are dated from `decided_from` on, microseconds apart; earlier
    ones are years older. Deleted accounts and minors make none.
    """
    rng = random.Random(f"choices {seed}")  # noqa: S311  as above
    sayings = _deal(SAYINGS, rng)
    places = {place.site: place for place in PLACES}
    moment = decided_from
    for person in people(count, seed=seed):
        if rng.random() >= share:
            continue
        if person.account["status"] == "deleted" or person.account.get("minor"):
            continue
        for said in next(sayings):
            moment += timedelta(microseconds=1)
            place = places[str(person.account["property"])]
            yield _choice(person.account, place, said, moment, rng)


def write(
    folder: Path,
    count: int,
    *,
    seed: int = SEED,
    share: float = 0.15,
    decided_from: datetime = _CHOICES_FROM,
) -> dict[str, int]:
    """Write accounts.ndjson, collections.ndjson and choices.ndjson; return the number of lines."""
    written = write_people(folder, count, seed=seed)
    said = choices(count, seed=seed, share=share, decided_from=decided_from)
    return written | {"choices": save(folder / "choices.ndjson", said)}


def write_people(
    folder: Path, count: int, *, seed: int = SEED, each: Callable[[], None] = lambda: None
) -> dict[str, int]:
    """Write accounts.ndjson and collections.ndjson; return the number of lines of each.

    `each` is called after each person.
    """
    written = {"accounts": 0, "collections": 0}
    with (
        _writing(folder / "accounts.ndjson") as accounts,
        _writing(folder / "collections.ndjson") as collections,
    ):
        for person in people(count, seed=seed):
            accounts.writelines(map(_line, person.accounts))
            collections.writelines(map(_line, person.collections))
            written["accounts"] += len(person.accounts)
            written["collections"] += len(person.collections)
            each()
    return written


def save(path: Path, events: Iterable[Event]) -> int:
    """Write events as NDJSON; return their number."""
    written = 0
    with _writing(path) as file:
        for event in events:
            file.write(_line(event))
            written += 1
    return written


def _deal(deck: Sequence[_Card], rng: random.Random) -> Iterator[_Card]:
    """Deal from a shuffled deck; shuffle again when it is used up."""
    while True:
        yield from rng.sample(deck, len(deck))


def _collections(
    key: Event, place: Place, history: Iterable[Collected], rng: random.Random
) -> Iterator[Event]:
    for held in history:
        begins, ends = _span(place, held.era)
        first = _moment(begins, ends, rng)
        event: Event = {
            **key,
            "data_category": held.category,
            "collected_under": _version(place, held.era),
            **({"source": held.source} if held.source else {}),
        }
        yield {**event, "collected_at": _text(first)}
        if held.erased:
            yield {**event, "erased": True, "collected_at": _text(_moment(first, _LAST_DAY, rng))}
        elif rng.random() < 0.1:  # noqa: PLR2004  a tenth provide the same data again
            yield {**event, "collected_at": _text(_moment(first, ends, rng))}


def _accounts(
    key: Event, whole: Event, life: Life, place: Place, rng: random.Random
) -> Iterator[Event]:
    begins, ends = place.policy.effective[place.opened], _LIVES_CHANGE
    for status, contact in life.states:
        updated = _moment(begins, ends, rng)
        yield {
            **(key if status == "deleted" else whole),
            "status": status,
            "contact": contact,
            **({"minor": True} if life.minor else {}),
            "updated_at": _text(updated),
        }
        begins, ends = max(updated + timedelta(days=1), _LIVES_CHANGE), _LAST_DAY


def _unless_deleted(
    collected: Iterable[Event], accounts: Sequence[Event], policy: ExamplePolicy
) -> Iterator[Event]:
    """Drop collections after a deletion; add the address of an account that registers again."""
    deleted = [str(event["updated_at"]) for event in accounts if event["status"] == "deleted"]
    yield from (
        event for event in collected if str(event["collected_at"]) < min(deleted, default="9")
    )
    if deleted and accounts[-1]["status"] != "deleted":
        yield {
            "property": accounts[-1]["property"],
            "account": accounts[-1]["account"],
            "data_category": EMAIL,
            "collected_under": policy.versions[MIDDLE],
            "collected_at": accounts[-1]["updated_at"],
        }


def _choice(
    account: Event, place: Place, said: Spoken, moment: datetime, rng: random.Random
) -> Event:
    policy = place.policy
    if said.early:
        moment = _moment(datetime(2019, 1, 1, tzinfo=UTC), _NEW_FORM, rng)
    named = {
        "recipient": policy.partner if said.to_partner else None,
        "data_category": said.category,
        "collected_under": _version(place, said.era),
    }
    by_telephone = rng.random() < 0.5  # noqa: PLR2004  half call, half use the app
    return {
        "property": account["property"],
        "account": account["account"],
        "answer": said.answer,
        "data_use": policy.partner_use if said.data_use == "partner" else said.data_use,
        **{name: value for name, value in named.items() if value is not None},
        "policy_version": policy.versions[MIDDLE if said.early else NEWEST],
        "channel": "telephone" if by_telephone else "app",
        "evidence": f"call {rng.randrange(10**6):06d}" if by_telephone else "settings screen",
        "decided_at": _text(moment),
    }


def _version(place: Place, era: int | None) -> str | None:
    """Return the version of an era; a property has none from before it opened."""
    return None if era is None else place.policy.versions[max(era, place.opened)]


def _span(place: Place, era: int | None) -> tuple[datetime, datetime]:
    """Return the period in which data of an era was collected."""
    if era is None:
        return _BEFORE_RECORDS, place.policy.effective[OLDEST]
    starts = (*place.policy.effective, _NEW_FORM, _LAST_DAY)
    era = max(era, place.opened)
    return starts[era], starts[era + 1]


def _moment(begins: datetime, ends: datetime, rng: random.Random) -> datetime:
    seconds = int((ends - begins).total_seconds())
    return begins + timedelta(seconds=rng.randrange(max(seconds, 1)))


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _writing(path: Path) -> IO[str]:
    return path.open("w", encoding="utf-8", newline="\n")


def _line(event: Event) -> str:
    return json.dumps(event, ensure_ascii=False) + "\n"
