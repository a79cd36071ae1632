"""Whose mail a report is about. RULES 15."""

from __future__ import annotations

from random import Random
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconsent.domain.event import MailEvent
from reconsent.domain.recorded import Counts
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.store.postgres import Connection
from tests.integration.informing import START, Informing
from tests.integration.stage import Stage


@pytest.fixture(scope="module")
def notices(place: Stage) -> tuple[str, str]:
    """Return a notice that was sent, and one that is only planned."""
    world = Informing(place)
    world.account("ann")
    assert world.informed() == ["a"]
    [sent] = [row["notice"] for row in world.pipeline.notices()]
    world.account("bo")
    world.publish()
    [planned, *_] = [row["notice"] for row in world.pipeline.notices() if row["state"] == "due"]
    return sent, planned


def _report(notice: str) -> MailEvent:
    at = START.isoformat()
    fields = {"notice": notice, "event": "deferred", "occurred_at": at, "provider_id": notice}
    return MailEvent.model_validate(fields)


def _not_ours(connection: Connection) -> int:
    rows = connection.execute("SELECT coalesce(sum(reports), 0)::int FROM reports_not_ours")
    return int(rows.fetchall()[0][0])


_FOREIGN = st.one_of(
    st.uuids().map(str),
    st.uuids(version=4).map(str),
    # Of another installation: computed ids.
    st.uuids().map(lambda drawn: str(UUID(int=drawn.int & ~(0xF << 76) | (8 << 76)))),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=50),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(foreign=st.lists(_FOREIGN, max_size=6), order=st.randoms(use_true_random=False))
def test_only_what_is_ours_is_recorded_or_refused(
    place: Stage, notices: tuple[str, str], foreign: list[str], order: Random
) -> None:
    """Reports come in any mixture; those about mails of other senders are counted each time."""
    sent, planned = notices
    reports = [*foreign, sent, sent, planned]
    order.shuffle(reports)
    with place.database.connection() as connection:
        before = _not_ours(connection)
        counts = record_mail_events(
            connection, [_report(notice) for notice in reports], place.signer.address_hash
        )
        assert counts == Counts(
            new=1,
            unchanged=1,
            not_ours=len(foreign),
            refused=((reports.index(planned), f"notice: {planned!r} was never sent"),),
        )
        assert _not_ours(connection) == before + len(foreign)
        connection.rollback()
