"""An unsubscribe that names an address, of each account that names this too. RULES 15."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.resources import files
from itertools import permutations
from typing import Any, Final

import pytest

from reconsent.domain.event import MailEvent, parse
from reconsent.domain.received import Received
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Connection
from tests.integration.informing import HOUR, SITE, START, Informing
from tests.integration.interleaving import Work, at_once
from tests.integration.stage import Stage

ANN: Final = "ann@example.org"


class World(Informing):
    """A site, an address that is unsubscribed, and accounts that name it."""

    def left(self, at: datetime | None = None, email: str = ANN) -> Work:
        """Return what records that somebody unsubscribed an address."""
        said = {"event": "unsubscribed", "email": email, "occurred_at": at or START}
        event = MailEvent.model_validate(said)
        return lambda c: record_mail_events(c, [event], self.place.signer.address_hash)

    def named(self, *emails: str | None, account: str = "ann", **more: Any) -> Work:  # noqa: ANN401 -- JSON
        """Return what records in one batch that an account has some addresses, one after another.

        They are dated in hours from the start, from `hour` on.
        """
        at = START + more.pop("hour", 1) * HOUR
        events = [
            {
                "property": SITE, "account": account, "status": "active", "contact": "all",
                "email": email, "updated_at": (at + number * HOUR).isoformat(),
            } | more
            for number, email in enumerate(emails)
        ]  # fmt: skip
        return self.records(*events)

    def deleted(self, hour: int) -> Work:
        """Return what records that the account is deleted."""
        at = (START + hour * HOUR).isoformat()
        event = {"property": SITE, "account": "ann", "status": "deleted", "contact": "all"}
        return self.records(event | {"updated_at": at})

    def records(self, *events: dict[str, Any]) -> Work:
        """Return what records account events in one batch."""
        received = [
            Received("accounts", "/crm", "1", parse("accounts", json.dumps(event).encode()))
            for event in events
        ]
        recorder = Recorder(PublishedVersions(), self.place.signer.address_hash)
        return lambda c: recorder.record(c, received)

    def does(self, *works: Work) -> None:
        """Do works, each in a transaction."""
        for work in works:
            self.place.database.transaction(work)


def _worlds(place: Stage, count: int) -> Iterator[tuple[World, tuple[int, ...]]]:
    for order in permutations(range(count)):
        yield World(place), order


def test_it_counts_for_an_account_that_comes_later(place: Stage) -> None:
    """The first account event of a person who left with another system is not the first mail."""
    world = World(place)
    world.does(world.left(START - timedelta(days=400)), world.named("Ann@Example.ORG"))
    assert world.unsubscribed("ann")
    assert world.informed() == []
    assert world.last("ann") == ("suppressed", "not_opted_in")


@pytest.mark.parametrize(
    ("events", "unsubscribed"),
    [
        ([{"emails": [ANN]}], True),
        ([{"emails": [ANN, "a2@example.org"]}], True),
        ([{"emails": ["a2@example.org", ANN]}], True),
        ([{"emails": [ANN], "hour": 9}, {"emails": ["a2@example.org"], "hour": 10}], True),
        ([{"emails": ["a2@example.org"], "hour": 10}, {"emails": [ANN], "hour": 9}], True),
        ([{"emails": ["a2@example.org"]}], False),
        ([{"emails": [None]}], False),
    ],
    ids=str,
)
def test_order_of_arrival_does_not_matter(
    place: Stage,
    events: list[dict[str, Any]],
    unsubscribed: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """The report comes before, between or after the account's events, of one batch or several."""
    for world, order in _worlds(place, len(events) + 1):
        works = [world.named(*event["emails"], hour=event.get("hour", 1)) for event in events]
        works.append(world.left(START + 5 * HOUR))
        world.does(*(works[index] for index in order))
        assert world.unsubscribed("ann") == unsubscribed, order


@pytest.mark.parametrize(("hour", "unsubscribed"), [(1, True), (3, True), (7, False)])
def test_opting_in_later_ends_it(
    place: Stage,
    hour: int,
    unsubscribed: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """In any order of arrival; opting in at the same time does not."""
    for world, order in _worlds(place, 3):
        opted_in = (START + hour * HOUR).isoformat()
        works = [
            world.left(START + 3 * HOUR),
            world.named(ANN, hour=1),
            world.named(ANN, hour=8, opted_in_at=opted_in),
        ]
        world.does(*(works[index] for index in order))
        assert world.unsubscribed("ann") == unsubscribed, order


@pytest.mark.parametrize(("hour", "unsubscribed"), [(2, True), (7, False)])
def test_a_later_deletion_ends_it(
    place: Stage,
    hour: int,
    unsubscribed: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """The account that registers again with the address begins anew."""
    for world, order in _worlds(place, 3):
        works = [
            world.left(START + 3 * HOUR),
            world.deleted(hour),
            world.named(ANN, hour=8),
        ]
        world.does(*(works[index] for index in order))
        assert world.unsubscribed("ann") == unsubscribed, order


def test_each_account_with_the_address_is_meant(place: Stage) -> None:
    """Whether it was there before, comes in the same batch, or has moved from the address since."""
    world = World(place)
    world.does(world.named(ANN, "a2@example.org"), world.left(), world.named(ANN, account="bo"))
    world.does(world.named("c@example.org", account="cy"), world.named(ANN, account="di"))
    assert [world.unsubscribed(one) for one in ("ann", "bo", "cy", "di")] == [
        True,
        True,
        False,
        True,
    ]


def test_said_again_it_changes_nothing(place: Stage) -> None:
    """The list is imported a second time."""
    world = World(place)
    world.does(world.left(), world.named(ANN))
    once = world.kept()
    world.does(world.left(), world.named(ANN))
    assert world.kept() == once == [("ann", "unsubscribed", "provider", START)]


@pytest.mark.parametrize("left_first", [True, False])
@pytest.mark.parametrize("how", ["new", "known", "known and new"])
def test_it_is_not_lost_if_both_are_recorded_at_once(
    place: Stage, how: str, *, left_first: bool
) -> None:
    """As if one had been recorded after the other."""
    world = World(place)
    if how != "new":
        world.does(world.named("a2@example.org"))
    named = world.named(ANN, hour=5)

    def both(connection: Connection) -> None:
        named(connection)
        world.named(ANN, account="bo")(connection)

    works = [world.left(), both if how == "known and new" else named]
    at_once(place.database, *(works if left_first else reversed(works)))
    assert world.unsubscribed("ann")


def test_what_was_lost_before_is_found_by_the_migration(place: Stage) -> None:
    """Two reports, an account that came after both, one that has moved, one that opted in since."""
    world = World(place)
    world.does(world.left(START + HOUR), world.left(START + 2 * HOUR))
    world.does(world.named(ANN), world.named(ANN, "b2@example.org", account="bo"))
    world.does(world.named(ANN, account="cy", opted_in_at=(START + 3 * HOUR).isoformat(), hour=4))
    world.does(world.named("di@example.org", account="di"))
    migration = files("reconsent.schemas").joinpath("postgres", "0043_unsubscribes_by_address.sql")

    def migrated(connection: Connection) -> None:
        connection.execute("UPDATE accounts SET unsubscribed_at = NULL")
        # Without the triggers that refuse it.
        connection.execute("ALTER TABLE unsubscribes DISABLE TRIGGER USER")
        connection.execute("DELETE FROM unsubscribes")
        connection.execute("ALTER TABLE unsubscribes ENABLE TRIGGER USER")
        connection.execute("DROP INDEX mailbox_reports_unsubscribed")
        connection.execute(migration.read_bytes())

    def now() -> tuple[object, ...]:
        return world.kept(), *(world.unsubscribed(one) for one in ("ann", "bo", "cy", "di"))

    recorded = now()
    assert recorded[1:] == (True, True, False, False)
    for _ in range(2):
        world.does(migrated)
        assert now() == recorded
