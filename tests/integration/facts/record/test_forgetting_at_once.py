"""An address goes with its accounts, whatever is recorded at the same time. RULES 28."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from reconsent.domain.event import MailEvent
from reconsent.facts.record import forgetting, mailbox_reports
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.store import log_erasure
from reconsent.store.postgres import Connection
from tests.integration.facts.record.personal_messages import ANN, deleting, message, report
from tests.integration.informing import HOUR, Informing
from tests.integration.interleaving import at_once
from tests.integration.remains import found
from tests.integration.stage import Stage


@pytest.fixture
def world(place: Stage) -> Informing:
    """Give a site with an account."""
    made = Informing(place)
    made.account("ann", email=ANN)
    return made


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("deletion_first", [True, False])
def test_a_report_is_read_while_the_account_is_deleted(
    place: Stage, *, deletion_first: bool
) -> None:
    """Whichever is first, the address goes, though neither sees what the other does."""
    data = report(email=ANN)
    said = MailEvent.model_validate(data, strict=False)

    def read(connection: Connection) -> None:
        # It came in after a deletion that is not committed had looked for it.
        record_mail_events(connection, [said], place.signer.address_hash)

    place.clock += HOUR
    first, second = deleting(place), read
    if not deletion_first:
        first, second = second, first
        place.producer.send([message(place, "mail-events", data)])

    def begin(connection: Connection) -> None:
        first(connection)
        if deletion_first:
            place.producer.send([message(place, "mail-events", data)])

    at_once(place.database, begin, second)
    assert found(place, ANN) == set()


@pytest.mark.parametrize("first", ["ann", "abe"])
def test_two_accounts_of_one_address_are_deleted_at_the_same_time(
    world: Informing, place: Stage, first: str
) -> None:
    """The later of the two erases it, though neither sees what the other does."""
    shared_with_abe(world)
    second = "abe" if first == "ann" else "ann"
    at_once(place.database, deleting(place, account=first), deleting(place, account=second))
    assert found(place, ANN) == set()


def test_two_deletions_that_wait_for_each_other_erase_the_address(
    world: Informing, place: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have deleted their accounts before either looks who has the address: one is repeated."""
    shared_with_abe(world)
    both = threading.Barrier(2)
    wait_once = [both.wait, both.wait]
    erase = mailbox_reports.erase_unowned_addresses

    def erase_together(*given: Any) -> None:  # noqa: ANN401 -- passed on
        if wait_once:
            wait_once.pop()(30)
        erase(*given)

    monkeypatch.setattr(forgetting, "erase_unowned_addresses", erase_together)
    with ThreadPoolExecutor(2) as threads:
        done = [
            threads.submit(place.database.transaction, deleting(place, account=account))
            for account in ("ann", "abe")
        ]
    for one in done:
        one.result()
    assert found(place, ANN) == set()


def shared_with_abe(world: Informing) -> None:
    """Let abe have ann's address too, of which a report is on the bus that was looked into."""
    place = world.place
    world.account("abe", email=ANN)
    place.producer.send([message(place, "mail-events", report(email=ANN))])
    world.pipeline.settle()
    # Else deletions that look into it wait for each other.
    place.database.transaction(lambda c: log_erasure.note_names(c, place.signer.address_hash))
    assert found(place, ANN) >= {"bus_messages.value"}
    place.clock += HOUR
