"""Marks on mailboxes: what makes them, what lifts them, and that their order does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from reconsent.domain.event import MailEvent
from reconsent.domain.mail_report import Mark
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.record.marks import (
    OPERATOR,
    MailboxMark,
    Order,
    marked_mailboxes,
    marks_of,
    order_lift,
    order_mark,
    orders_of,
)
from reconsent.store.postgres import Connection
from tests.integration.informing import HOUR, START, Informing
from tests.integration.stage import Stage

ANN = "ann@example.org"


@pytest.fixture
def connection(place: Stage) -> Iterator[Connection]:
    """Yield a connection to an empty world; nothing is committed."""
    Informing(place)
    with place.database.connection() as connection, connection.transaction(force_rollback=True):
        yield connection


def said(place: Stage, connection: Connection, event: str, hours: int, **fields: object) -> None:
    """Record a report about an address, unless it says which notice."""
    report = MailEvent.model_validate(
        {"email": ANN, "event": event, "occurred_at": START + hours * HOUR, **fields}
    )
    record_mail_events(connection, [report], place.signer.address_hash)


def marks(place: Stage, connection: Connection, email: str = ANN) -> dict[Mark, bool]:
    """Return the marks of a mailbox, and whether they hold."""
    found = marks_of(connection, [place.signer.address_hash(email)])
    return {one.mark: one.lifted_at is None for one in found}


def test_reports_that_name_an_address_count_for_the_mailbox(
    place: Stage, connection: Connection
) -> None:
    """Whoever has it, and however it is written; what does not speak of it marks nothing."""
    said(place, connection, "bounced", 1, reason="552 5.2.2 full")
    said(place, connection, "deferred", 1)
    assert marks(place, connection) == {}
    said(place, connection, "bounced", 2, email=" Ann@EXAMPLE.org", reason="550 5.1.1 unknown")
    said(place, connection, "complained", 3)
    assert marks(place, connection) == {"bounced": True, "complained": True}
    assert marked_mailboxes(connection) == {"bounced": 1, "complained": 1}
    said(place, connection, "delivered", 4)
    assert marks(place, connection) == {"bounced": False, "complained": True}
    said(place, connection, "bounced", 5, email="no address")
    assert marked_mailboxes(connection) == {"complained": 1}


def test_the_order_of_arrival_does_not_matter(place: Stage) -> None:
    """A bounce is lifted by a later delivery, and made anew by a later bounce."""
    reports = [("bounced", 1), ("delivered", 2), ("bounced", 2), ("delivered", 3), ("bounced", 4)]
    for upto in range(1, len(reports) + 1):
        expected = reports[upto - 1][0] == "bounced"
        for order in permutations(reports[:upto]):
            Informing(place)
            with place.database.connection() as connection:
                for event, hours in order:
                    said(place, connection, event, hours)
                assert marks(place, connection) == {"bounced": expected}, order


def test_an_id_that_a_provider_uses_twice_hides_no_report(
    place: Stage, connection: Connection
) -> None:
    """Only the same report again, its time included, changes nothing."""
    said(place, connection, "bounced", 1, provider_id="one")
    said(place, connection, "delivered", 2, provider_id="one")
    said(place, connection, "bounced", 1, provider_id="one")
    assert marks(place, connection) == {"bounced": False}
    said(place, connection, "bounced", 3, provider_id="one")
    said(place, connection, "complained", 3, provider_id="one")
    assert marks(place, connection) == {"bounced": True, "complained": True}
    kept = connection.execute("SELECT count(*) FROM mailbox_reports").fetchone()
    assert kept == (4,)


def test_operators_mark_and_lift(place: Stage, connection: Connection) -> None:
    """Their reasons are kept; a report of before does not make the mark anew, a later one does."""
    mailbox = place.signer.address_hash(ANN)
    by: dict[str, Any] = {"said_by": "ops", "reason": "she called"}
    assert order_lift(connection, [mailbox], at=START, **by) == []
    said(place, connection, "bounced", -1)
    assert marks(place, connection) == {"bounced": False}
    order_mark(connection, [mailbox], "complained", at=START + HOUR, **by)
    said(place, connection, "bounced", 1)
    assert marks(place, connection) == {"bounced": True, "complained": True}
    assert order_lift(connection, [mailbox], ["bounced"], at=START + 2 * HOUR, **by) == ["bounced"]
    assert order_lift(connection, [mailbox], ["bounced"], at=START + 3 * HOUR, **by) == []
    [bounced, complained] = marks_of(connection, [mailbox])
    assert bounced == MailboxMark(mailbox, "bounced", START + HOUR, START + 3 * HOUR, OPERATOR)
    assert complained == MailboxMark(mailbox, "complained", START + HOUR, None, None)
    assert orders_of(connection, [mailbox])[2] == Order(
        mailbox, "complained", lifts=False, at=START + HOUR, said_by="ops", reason="she called"
    )
    said(place, connection, "bounced", 4)
    assert marks(place, connection)["bounced"]


def test_reports_by_address_concern_what_was_accepted_lately(place: Stage) -> None:
    """Notices accepted in the ten days before that are not delivered, and no others."""
    informing = Informing(place)
    for account in ("old", "ann", "bo", "cy"):
        informing.account(account, email=ANN if account != "cy" else None)
    informing.account("old", email=ANN)
    informing.informed()
    informing.place.clock += timedelta(days=10)
    informing.account("old", contact="service", email=ANN)
    informing.publish()
    informing.place.clock += HOUR
    assert len(informing.send()) == 2
    at = informing.place.clock
    informing.reported(informing.pipeline.notices()[0]["notice"], "deferred", at)
    second = {n["account"]: n for n in informing.pipeline.notices() if n["policy_version"] == "v3"}
    informing.reported(second["bo"]["notice"], "delivered", at)
    with place.database.connection() as connection:
        said(place, connection, "bounced", 0, occurred_at=at + HOUR)
    states = {(n["account"], n["policy_version"]): n["state"] for n in informing.pipeline.notices()}
    assert states["ann", "v3"] == "bounced"
    assert states["bo", "v3"] == "delivered"
    assert {states[account, "v2"] for account in ("old", "ann", "bo")} == {"accepted"}


@pytest.mark.parametrize(("later", "state"), [(0, "bounced"), (1, "accepted")])
def test_a_report_in_whole_seconds_concerns_what_was_accepted_within_it(
    place: Stage, later: int, state: str
) -> None:
    """A mail is refused no earlier than it was accepted, but dates drop the fraction."""
    informing = Informing(place)
    informing.account("ann", email=ANN)
    informing.publish()
    at = informing.place.clock
    informing.place.clock += timedelta(seconds=later, milliseconds=400)
    assert informing.send() == ["a"]
    with place.database.connection() as connection:
        said(place, connection, "bounced", 0, occurred_at=at)
    assert informing.last("ann")[0] == state


def test_an_unsubscribe_by_address_is_one_of_each_account(place: Stage) -> None:
    """Of each that has the address then; others, and the mailbox, stay as they were."""
    informing = Informing(place)
    for account, email in (("ann", ANN), ("abe", "ANN@example.org"), ("bo", "bo@example.org")):
        informing.account(account, email=email)
    with place.database.connection() as connection:
        said(place, connection, "unsubscribed", 1)
        assert marks(place, connection) == {}
    assert [account for account, *_ in informing.kept()] == ["abe", "ann"]
    assert informing.informed() == ["b"]
