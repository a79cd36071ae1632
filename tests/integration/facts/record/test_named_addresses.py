"""A verified address lifts marks of before, if the account had named it by then. RULES 15."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import permutations
from typing import Any

import pytest

from reconsent.domain.bus import Message
from reconsent.domain.event import MailEvent
from reconsent.domain.message_names import hashed_address
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.record.marks import marks_of
from tests.integration.informing import HOUR, START, Informing
from tests.integration.stage import Stage

A, B = "a@example.org", "b@example.org"


class World(Informing):
    """A site, with reports about addresses and events that verify them."""

    def bounced(self, email: str, hours: int, event: str = "bounced") -> None:
        """Record a report that names an address."""
        said = MailEvent.model_validate({"email": email, "event": event, "occurred_at": at(hours)})
        address_hash = self.place.signer.address_hash
        self.place.database.transaction(lambda c: record_mail_events(c, [said], address_hash))

    def named(
        self,
        hours: int,
        email: str | None,
        verified: int | None = None,
        account: str = "ann",
        **fields: Any,  # noqa: ANN401 -- JSON
    ) -> None:
        """Record an account event as of some hour, that says when its address was verified."""
        verified_at = {} if verified is None else {"email_verified_at": at(verified).isoformat()}
        self.place.clock = max(self.place.clock, at(50))
        self.account(account, at=at(hours), email=email, **verified_at, **fields)

    def marks(self, email: str) -> list[str]:
        """Return the marks that hold."""
        with self.place.database.connection() as connection:
            found = marks_of(connection, [self.place.signer.address_hash(email)])
        return [one.mark for one in found if one.lifted_at is None]

    def addresses(self) -> int:
        """Count the addresses that are kept for accounts that have others now."""
        with self.place.database.connection() as connection:
            return connection.execute("SELECT DISTINCT address_hash FROM named_addresses").rowcount


def at(hours: int) -> datetime:
    """Return a time by the hours after the beginning."""
    return START + hours * HOUR


def test_a_later_verification_lifts_marks(place: Stage) -> None:
    """One of before, or of the same time, does not."""
    world = World(place)
    world.named(1, A)
    world.bounced(A, 10)
    world.bounced(A, 11, "complained")
    world.named(12, A, verified=10)
    assert world.marks(A) == ["bounced", "complained"]
    world.named(13, A, verified=11)
    assert world.marks(A) == ["complained"]
    world.named(14, A, verified=14)
    assert world.marks(A) == []
    world.bounced(A, 13)
    assert world.marks(A) == [], "it is older than what lifts it"
    world.bounced(A, 15)
    assert world.marks(A) == ["bounced"]
    world.named(16, A)
    assert world.marks(A) == ["bounced"], "the event says nothing of it"


def test_a_new_account_verifies_its_address(place: Stage) -> None:
    """By the same statement that adds it."""
    world = World(place)
    world.bounced(A, 10)
    world.named(12, A, verified=11)
    assert world.marks(A) == ["bounced"], "it had not named it by then"
    world.named(12, A, verified=12, account="abe")
    assert world.marks(A) == []


def test_no_clock_lifts_marks_of_the_future(place: Stage) -> None:
    """A verification counts no later than the event that states it."""
    world = World(place)
    world.named(5, A, verified=500)
    world.bounced(A, 10)
    assert world.marks(A) == ["bounced"]


def test_what_was_verified_before_does_not_verify_another_address(place: Stage) -> None:
    """The account named it only later; once it has named it, it may be verified."""
    world = World(place)
    world.bounced(B, 1)
    world.named(2, A, verified=2)
    world.named(5, B, verified=2)
    assert world.marks(B) == ["bounced"]
    world.named(6, A, verified=2)
    world.named(7, B, verified=5)
    assert world.marks(B) == []


def test_the_order_of_arrival_does_not_matter(place: Stage) -> None:
    """The account named it at a time that becomes known later, or verified it before it left it."""
    world = World(place)
    world.bounced(A, 3)
    world.named(6, A, verified=4)
    assert world.marks(A) == ["bounced"]
    world.named(2, A)
    assert world.marks(A) == []
    world.named(8, B, verified=8)
    world.bounced(A, 4)
    assert world.marks(A) == ["bounced"]
    world.named(7, A, verified=5)
    assert world.marks(A) == []
    assert world.addresses() == 2


def test_a_deletion_that_comes_late_leaves_what_was_named_after_it(place: Stage) -> None:
    """In any order: it named its address first after the deletion, and verified it then."""
    events: list[dict[str, Any]] = [
        {"hours": 1, "email": A},
        {"hours": 3, "email": None, "status": "deleted"},
        {"hours": 4, "email": A},
        {"hours": 6, "email": A, "verified": 5},
    ]
    for order in permutations(events):
        world = World(place)
        for event in order:
            world.named(**event)
        world.bounced(A, 4)
        assert world.marks(A) == [], order


@pytest.mark.parametrize("gone", [{"status": "deleted"}, {"minor": True}])
def test_nothing_of_it_is_left_of_a_deleted_account_or_a_minor(
    place: Stage, gone: dict[str, Any]
) -> None:
    """Nor does what it verified count for the account that comes after it; marks stay."""
    world = World(place)
    world.named(1, A, verified=1)
    world.named(2, B, verified=2)
    world.bounced(B, 1)
    world.bounced(A, 4)
    assert (world.marks(A), world.marks(B)) == (["bounced"], [])
    assert world.addresses() == 2
    world.named(3, A, **gone)
    assert world.addresses() == 0
    world.named(1, B, verified=1)
    assert world.addresses() == 0
    assert (world.marks(A), world.marks(B)) == (["bounced"], [])
    world.named(6, B, verified=2)
    world.bounced(B, 4)
    assert world.marks(B) == ["bounced"]


@pytest.mark.parametrize("gone", [{"status": "deleted"}, {"minor": True}])
@pytest.mark.parametrize("shared", [False, True])
def test_the_bus_forgets_reports_that_name_the_address_alone(
    place: Stage,
    gone: dict[str, Any],
    shared: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """Also of an address of before; as long as another account has it, it is that one's too.

    Of an address that nobody had, nothing but a hash is there to forget.
    """
    world = World(place)
    world.named(1, A)
    world.named(2, B)
    if shared:
        world.named(2, "A@Example.org", account="abe")
    for email in (A, B, "c@example.org"):
        data = {"email": email, "event": "deferred", "occurred_at": at(3).isoformat()}
        value = json.dumps(data).encode()
        place.producer.send([Message("mail-events", None, value, (), place.clock)])
    world.pipeline.settle()
    world.named(4, B, **gone)
    with place.database.connection() as connection:
        rows = connection.execute(
            "SELECT convert_from(value, 'UTF8')::json ->> 'email' FROM bus_messages"
            " WHERE topic = 'mail-events' ORDER BY 1"
        ).fetchall()
    hashed = {
        one: hashed_address(place.signer.address_hash(one)) for one in (A, B, "c@example.org")
    }
    assert {email for (email,) in rows} == {*hashed.values(), A} - {hashed[A] if shared else A}
