"""Hashing the ids of providers' reports in a database of an earlier release. RULES 15, 28."""

from __future__ import annotations

import hashlib

import pytest

from reconsent.domain.event import MailEvent
from reconsent.domain.event_hash import hashed_id
from reconsent.domain.recorded import Counts
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.record.report_ids import hash_report_ids
from tests.integration.informing import HOUR, START, Informing
from tests.integration.remains import found
from tests.integration.stage import Stage

ANN = "ann@example.org"
IDS = (f"<{ANN}> 1", None, "2" * 300, "a" * 64)


def reports(notice: str) -> list[MailEvent]:
    """Return reports about a notice, and others about its mailbox, with each id."""
    return [
        MailEvent(event="deferred", occurred_at=START + HOUR, provider_id=id_, **about)
        for about in ({"notice": notice}, {"email": ANN})
        for id_ in IDS
    ]


def record(place: Stage, said: list[MailEvent]) -> Counts:
    """Record reports."""
    return place.database.transaction(
        lambda connection: record_mail_events(connection, said, place.signer.address_hash)
    )


@pytest.mark.parametrize("repeated", [False, True])
def test_a_report_of_before_is_known_again_by_its_hash(place: Stage, *, repeated: bool) -> None:
    """Nothing is left of its id; `repeated`: it was recorded once more by the present release."""
    world = Informing(place)
    world.account("ann")
    world.informed()
    said = reports(world.notice("ann"))
    assert record(place, said).new == len(said)
    hashed = {hashed_id(id_, place.signer.address_hash): id_ for id_ in IDS}
    with place.database.connection() as connection:
        for table in ("mail_events", "mailbox_reports"):
            for kept, id_ in hashed.items():
                # Longer ones were kept as their digests.
                plain = _digest(id_) if id_ and len(id_) > 200 else id_
                of_kept = f"UPDATE {table} SET provider_id = %s WHERE provider_id = %s"  # noqa: S608 -- a table of ours
                connection.execute(of_kept, [plain, kept])
    assert found(place, ANN) >= {"mail_events.provider_id", "mailbox_reports.provider_id"}
    if repeated:
        assert record(place, said[:1]).new == 1
    for _ in range(2):
        hash_report_ids(place.database, place.signer.address_hash)
    assert not {"mail_events.provider_id", "mailbox_reports.provider_id"} & found(place, ANN)
    assert record(place, said) == Counts(unchanged=len(said))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
