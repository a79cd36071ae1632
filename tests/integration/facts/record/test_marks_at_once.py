"""What speaks for a mailbox and what speaks against it, recorded by two at the same time. RULES 15.

Each looks for what the other has not committed yet. Neither is lost, whichever is first.
"""

from __future__ import annotations

import threading
import time

import pytest

from reconsent.domain.bucket import bucket_of_hash
from reconsent.domain.event import MailEvent
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.record.marks import marks_of, order_lift
from reconsent.store.postgres import Connection
from tests.integration.facts.record.speaking import ANN, FULL, GONE, Asked
from tests.integration.informing import HOUR
from tests.integration.interleaving import at_once, waiting
from tests.integration.stage import Stage


@pytest.mark.parametrize("against_first", [True, False])
@pytest.mark.parametrize("how", ["operator", "delivered", "verified", "verified by another"])
def test_what_lifts_a_mark_is_not_lost(place: Stage, how: str, *, against_first: bool) -> None:
    """The mailbox takes mail again, as if one had been recorded after the other."""
    world = Asked(place)
    works = [world.bounced(GONE), world.speaks_for(how)]
    at_once(place.database, *works if against_first else reversed(works))
    assert world.marks() == {"bounced": False}


@pytest.mark.parametrize("bounced_first", [True, False])
def test_a_later_mark_holds(place: Stage, *, bounced_first: bool) -> None:
    """What was delivered before does not lift it."""
    world = Asked(place)
    earlier = world.report("delivered", world.failed_at - HOUR / 2, email=ANN)
    works = [world.bounced(GONE), earlier]
    at_once(place.database, *works if bounced_first else reversed(works))
    assert world.marks() == {"bounced": True}


@pytest.mark.parametrize("bounced_first", [True, False])
def test_who_was_not_reached_is_asked_again(place: Stage, *, bounced_first: bool) -> None:
    """Mail of another account to the same mailbox, which was full, arrives later."""
    world = Asked(place)
    world.account("abe", email=ANN)
    world.collected("abe")
    world.pipeline.plan()
    assert world.send() == ["a"]
    notices = {one["account"]: str(one["notice"]) for one in world.pipeline.notices()}
    arrived = world.report("delivered", world.place.clock + HOUR, notice=notices["abe"])
    works = [world.bounced(FULL), arrived]
    at_once(place.database, *works if bounced_first else reversed(works))
    world.pipeline.plan()
    assert world.send() == ["a"]


def test_mixed_reports_do_not_wait_for_each_other(place: Stage) -> None:
    """Two batches that speak for some mailboxes and against others; each is recorded at once."""
    at, address_hash = place.clock, place.signer.address_hash
    begun: list[int] = []

    def record(number: int) -> None:
        said = [
            MailEvent.model_validate(
                {"event": event, "occurred_at": at, "email": f"{event}-{n}-{number}@example.org"}
            )
            for event in ("delivered", "bounced")
            for n in range(200)
        ]

        def work(connection: Connection) -> None:
            begun.append(number)
            record_mail_events(connection, said, address_hash)

        place.database.transaction(work)

    batches = [threading.Thread(target=record, args=(number,)) for number in (1, 2)]
    with place.database.connection() as connection:
        # Somebody who speaks for all mailboxes meanwhile, so that both begin before one goes on.
        connection.execute("SELECT FROM buckets FOR SHARE")
        for batch in batches:
            batch.start()
        while waiting(place.database) < len(batches):
            assert all(batch.is_alive() for batch in batches)
            time.sleep(0.01)
    for batch in batches:
        batch.join()
    assert sorted(begun) == [1, 2]


def test_operators_do_not_wait_for_whom_they_hold_up(place: Stage) -> None:
    """Marks on several mailboxes are lifted while some of them bounce; each is recorded at once."""
    at, begun = place.clock, list[str]()
    hashed = {
        place.signer.address_hash(email): email
        for email in (f"{name}@example.org" for name in ("ann", "bo", "cy"))
    }
    # In the order that is not the one in which they are locked.
    mailboxes = sorted(hashed, key=bucket_of_hash, reverse=True)
    assert len(set(map(bucket_of_hash, mailboxes))) == len(mailboxes)
    said = [
        MailEvent.model_validate(
            {"event": "bounced", "occurred_at": at, "email": hashed[mailbox], "reason": GONE}
        )
        for mailbox in (mailboxes[0], mailboxes[-1])
    ]

    def lift(connection: Connection) -> None:
        begun.append("lift")
        order_lift(connection, mailboxes, said_by="ops", reason="mended", at=at + HOUR)

    def report(connection: Connection) -> None:
        begun.append("report")
        record_mail_events(connection, said, place.signer.address_hash)

    works = [
        threading.Thread(target=place.database.transaction, args=(work,)) for work in (lift, report)
    ]
    with place.database.connection() as connection:
        bucket = {"bucket": bucket_of_hash(mailboxes[1])}
        connection.execute("SELECT FROM buckets WHERE bucket = %(bucket)s FOR UPDATE", bucket)
        for number, work in enumerate(works, 1):
            work.start()
            while waiting(place.database) < number:
                assert work.is_alive()
                time.sleep(0.01)
    for work in works:
        work.join()
    assert begun == ["lift", "report"]
    with place.database.connection() as connection:
        found = marks_of(connection, mailboxes)
    assert [(one.mark, one.lifted_at) for one in found] == [("bounced", at + HOUR)] * 2
