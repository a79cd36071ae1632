"""Unsubscribes that mail providers report, and what others are told of all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconsent.facts.published.state import PublishedState
from reconsent.facts.sets import Cohorts
from reconsent.store.leases import SoleRight
from reconsent.workers.relay import Relay, outlets
from reconsent.workers.running import run_until_idle
from tests.integration.informing import SITE, Informing
from tests.integration.others import Others
from tests.integration.stage import URL, Stage


@pytest.fixture
def others(place: Stage) -> Iterator[tuple[Others, Relay]]:
    """Yield the readers of the topic and its relay."""
    reading = Others([0])
    [outlet] = [one for one in outlets(PublishedState(Cohorts())) if one.topic == "unsubscribes"]
    relay = Relay(
        place.database,
        outlet,
        SoleRight(place.conninfo, "relay unsubscribes"),
        lambda: reading,
        source=URL,
        now=place.now,
    )
    yield reading, relay
    relay.close()


def test_providers_report_unsubscribes(informing: Informing) -> None:
    """An unsubscribe on mail-events counts for any notice; a duplicate is ignored."""
    informing.account("ann")
    informing.informed()
    at = informing.place.clock
    for _ in range(2):
        informing.reported(informing.notice("ann"), "unsubscribed", at)
    assert informing.kept() == [("ann", "unsubscribed", "provider", at)]
    assert informing.last("ann") == ("accepted", None)
    assert informing.informed() == []
    assert informing.last("ann") == ("suppressed", "not_opted_in")


def test_a_complaint_stops_optional_mail(informing: Informing) -> None:
    """A complaint stops all mail to the mailbox; an account's next event does not undo it."""
    informing.account("ann")
    informing.informed()
    at = informing.place.clock
    informing.reported(informing.notice("ann"), "complained", at)
    informing.account("ann", name="Ann")
    informing.account("abe", email="Ann@example.org")
    assert informing.informed() == []
    assert informing.last("ann") == informing.last("abe") == ("suppressed", "bounced")
    informing.account("ann", email="anna@example.org")
    assert informing.informed() == ["a"]
    assert informing.kept() == [("ann", "complained", "provider", at)]


def test_unsubscribes_are_published(informing: Informing, others: tuple[Others, Relay]) -> None:
    """Each is published once, without personal data, also after a failure of the bus."""
    reading, relay = others
    for account in ("ann", "bo", "cy"):
        informing.account(account, name=f"Name of {account}")
    informing.informed()
    informing.post(informing.link("ann"))
    at = informing.place.clock
    informing.reported(informing.notice("bo"), "complained", at)
    informing.post(informing.link("ann"))
    with pytest.raises(Exception, match="the bus broke"):
        run_until_idle([relay])
    run_until_idle([relay])
    informing.publish()
    informing.account("ann", name="Ann")
    run_until_idle([relay])
    told = sorted(reading.told("unsubscribes").values())
    time = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert told == [
        (
            f"{SITE}/{account}",
            {
                "property": SITE,
                "account": account,
                "reason": reason,
                "channel": channel,
                "occurred_at": time,
            },
        )
        for account, reason, channel in (
            ("ann", "unsubscribed", "page"),
            ("bo", "complained", "provider"),
        )
    ]
    assert len(reading.read["unsubscribes"]) == 2
