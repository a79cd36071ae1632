"""Unsubscribing: one POST, a fact that account events do not undo, an event of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest

from reconsent.facts.notice_ids import accounts_of
from reconsent.facts.published.state import PublishedState
from reconsent.facts.record.unsubscribes import Unsubscribe, record_unsubscribes
from reconsent.facts.sets import Cohorts
from reconsent.store.leases import SoleRight
from reconsent.store.postgres import Connection
from reconsent.workers.relay import Relay, outlets
from reconsent.workers.running import run_until_idle
from tests.acceptance.forms import Page as Form
from tests.integration.informing import HOUR, SITE, START, Informing
from tests.integration.others import Others
from tests.integration.stage import URL, Stage, stage
from tests.model.steps import Permit

ONE_CLICK = {"content": b"List-Unsubscribe=One-Click"}
URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all tests of this module."""
    with stage(make_database()) as made:
        yield made


@pytest.fixture
def informing(place: Stage) -> Informing:
    """Yield an empty world with its first version."""
    return Informing(place)


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


# ---------------------------------------------------------------------- one POST


def test_one_post_stops_optional_mail(informing: Informing) -> None:
    """The next version is not mailed to an unsubscribed account; others get it as before."""
    informing.account("ann")
    informing.account("bo")
    assert informing.informed() == ["a", "b"]
    answer = informing.post(informing.link("ann"), headers=URLENCODED, **ONE_CLICK)
    assert (answer.status_code, "You are unsubscribed" in answer.text) == (200, True)
    assert informing.informed() == ["b"]
    assert informing.last("ann") == ("suppressed", "not_opted_in")


@pytest.mark.parametrize(
    ("request_", "channel"),
    [
        (ONE_CLICK | {"headers": URLENCODED}, "one_click"),
        ({"files": {"List-Unsubscribe": (None, "One-Click")}}, "one_click"),
        ({"data": {}}, "page"),
        ({"content": b"x" * 100_000 + b"One-Click"}, "page"),
        ({"content": b"\xff\x00&=%"}, "page"),
    ],
    ids=["urlencoded", "multipart", "form", "endless", "odd"],
)
def test_any_post_unsubscribes(
    informing: Informing, request_: dict[str, Any], channel: str
) -> None:
    """Both encodings that mail programs use, the page's form, and any other body."""
    informing.account("ann")
    informing.informed()
    assert informing.post(informing.link("ann"), **request_).status_code == 200
    assert informing.kept() == [("ann", "unsubscribed", channel, informing.place.clock)]


def test_get_changes_nothing(informing: Informing) -> None:
    """GET and HEAD record nothing, however often they are sent."""
    informing.account("ann")
    informing.informed()
    for method in ("GET", "HEAD", "GET"):
        assert informing.get(informing.link("ann"), method).status_code == 200
    assert informing.kept() == []
    assert informing.informed() == ["a"]


def test_a_repeated_post_changes_nothing(informing: Informing) -> None:
    """The response is the same; the first time and channel are kept."""
    informing.account("ann")
    informing.informed()
    link = informing.link("ann")
    first = informing.post(link)
    left_at = informing.place.clock
    assert informing.post(link, headers=URLENCODED, **ONE_CLICK).text == first.text
    assert informing.kept() == [("ann", "unsubscribed", "page", left_at)]


def test_dead_links_look_alike(informing: Informing) -> None:
    """Unknown, altered, dead or for another purpose: the same 404, and nothing is recorded."""
    informing.account("ann")
    informing.account("di")
    informing.account("kim")
    informing.informed()
    dead, minors = informing.link("di"), informing.link("kim")
    informing.account("di", status="deleted", email=None)
    informing.account("kim", minor=True)
    informing.account("cy")
    informing.collected("cy")
    informing.publish("marketing")
    informing.send()
    choose = informing.link("cy")
    working = informing.link("ann")
    signer = informing.place.signer
    paths = [
        dead,
        minors,
        working[:-1],
        working[:5] + ("A" if working[5] != "A" else "B") + working[6:],
        choose.replace("/c/", "/u/"),
        f"/u/{signer.token(uuid4(), 'unsubscribe')}",
        f"/u/{signer.token(UUID(informing.notice('cy')), 'unsubscribe')}",
        "/u/æ",
    ]
    pages = {
        answer.text for path in paths for answer in (informing.get(path), informing.post(path))
    }
    assert len(pages) == 1
    assert {informing.get(path).status_code for path in paths} == {404}
    assert informing.get(working.replace("/u/", "/c/")).text in pages
    assert informing.post(working.replace("/u/", "/c/"), data={"all": "allow"}).status_code == 404
    assert informing.kept() == []


# ---------------------------------------------------------------------- a fact of our own


def test_the_next_account_event_does_not_undo_it(informing: Informing) -> None:
    """An account event with contact all, sent afterwards, does not subscribe again."""
    informing.account("ann")
    informing.informed()
    informing.post(informing.link("ann"))
    informing.account("ann", contact="none")
    informing.account("ann", contact="all", name="Ann", email="anna@example.org")
    informing.publish()
    assert informing.last("ann") == ("suppressed", "not_opted_in"), "as it is planned"
    assert informing.send() == []


def test_it_ends_with_a_deletion(informing: Informing) -> None:
    """An account registered again under the same name is not unsubscribed."""
    informing.account("ann")
    informing.informed()
    informing.post(informing.link("ann"))
    informing.account("ann", status="deleted", email=None)
    assert informing.informed() == []
    informing.account("ann")
    assert not informing.unsubscribed("ann")
    assert informing.informed() == ["a"]


def test_it_outlasts_a_deletion_dated_before_it(informing: Informing) -> None:
    """A deletion that arrives late ends only unsubscribes dated before it."""
    informing.account("ann")
    informing.informed()
    before = informing.place.clock
    informing.post(informing.link("ann"))
    informing.account("ann", at=before - timedelta(days=1), status="deleted", email=None)
    assert informing.unsubscribed("ann")
    assert informing.informed() == []


def test_between_planning_and_sending(informing: Informing) -> None:
    """An unsubscribe through an older mail suppresses a notice that is due."""
    informing.account("ann")
    informing.informed()
    informing.publish()
    assert informing.last("ann") == ("due", None)
    informing.post(informing.link("ann"))
    assert informing.send() == []
    assert informing.last("ann") == ("suppressed", "not_opted_in")


def test_mail_that_is_owed_is_still_sent(informing: Informing) -> None:
    """A question, its reminder and every permission are unaffected."""
    informing.account("ann")
    informing.collected("ann")
    informing.informed()
    informing.post(informing.link("ann"))
    assert _permissions(informing) == ["declared", "undeclared"]
    informing.publish("marketing")
    assert informing.send() == ["a"]
    assert "/c/" in informing.link("ann")
    assert _permissions(informing) == ["declared", "pending"]
    informing.place.clock += timedelta(days=1)
    while informing.pipeline.scheduler.work():
        pass
    assert informing.send() == ["a"], "a reminder"


def _permissions(informing: Informing) -> list[str]:
    asked = [
        Permit(
            now=informing.place.clock,
            key=(SITE, "ann"),
            data_category="user.contact.email",
            collected_under="v1",
            data_use=data_use,
            recipient=None,
        )
        for data_use in ("essential.service", "marketing")
    ]
    return [reason for _, reason, _ in informing.pipeline.permits(asked)]


def test_order_of_arrival_does_not_matter(place: Stage) -> None:
    """The same unsubscribe is kept, whichever report arrives first."""
    found = []
    said = [("page", 2), ("one_click", 1), ("provider", 1), ("provider", 3)]
    for order in permutations(said):
        informing = Informing(place)
        informing.account("ann")
        informing.informed()
        notice = UUID(informing.notice("ann"))
        for channel, hours in order:
            with place.database.connection() as connection:
                [account_key] = accounts_of(connection, [notice]).values()
            left = Unsubscribe(
                account_key=account_key,
                notice_id=notice,
                reason="unsubscribed",
                channel=channel,  # type: ignore[arg-type]  # one of them
                occurred_at=START + hours * HOUR,
            )
            place.database.transaction(partial(_leave, left=left))
        found.append(informing.kept())
        with place.database.connection() as connection:
            found[-1] += connection.execute("SELECT unsubscribed_at FROM accounts").fetchall()
    assert all(kept == found[0] for kept in found)
    assert found[0] == [
        ("ann", "unsubscribed", "one_click", START + HOUR),
        (START + 3 * HOUR,),
    ]


def _leave(connection: Connection, left: Unsubscribe) -> None:
    record_unsubscribes(connection, [left])


# ---------------------------------------------------------------------- from providers, to others


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


# ---------------------------------------------------------------------- asking for it again


def test_the_page_takes_it_back(informing: Informing) -> None:
    """By a POST of its own, as often as one likes; each new unsubscribe counts."""
    informing.account("ann")
    informing.informed()
    link = informing.link("ann")
    left = Form.of(informing.post(link).text)
    assert (left.forms, left.method, f"/u/{left.action}") == (1, "post", f"{link}/again")
    assert informing.unsubscribed("ann")
    for _ in range(2):
        assert informing.post(f"{link}/again").status_code == 200
        assert not informing.unsubscribed("ann")
    assert informing.informed() == ["a"]
    informing.post(link)
    assert informing.informed() == [], "the same mail's link, said again"
    informing.post(f"{link}/again")
    assert informing.informed() == ["a"]
    assert len(informing.kept()) == 1


def test_opening_a_link_shows_what_is_so(informing: Informing) -> None:
    """The button's page is that of the link until the button was pressed; nothing changes."""
    informing.account("ann")
    informing.informed()
    link = informing.link("ann")

    def opened() -> tuple[str, str]:
        for path in (link, f"{link}/again"):
            assert informing.get(path).status_code in {200, 303}
        again = informing.get(f"{link}/again")
        if again.status_code == 303:
            assert again.headers["location"].endswith(link)
            return informing.get(link).text, ""
        return informing.get(link).text, again.text

    offered = opened()
    assert "<h1>Unsubscribe</h1>" in offered[0]
    assert offered[1] == ""
    left = informing.post(link).text
    assert opened() == (left, "")
    assert informing.unsubscribed("ann")
    back = informing.post(f"{link}/again").text
    assert "<h1>You get our news again</h1>" in back
    assert opened() == (offered[0], back)
    assert not informing.unsubscribed("ann")
    informing.post(link)
    assert opened() == (left, "")


def test_only_an_unsubscribe_link_takes_it_back(informing: Informing) -> None:
    """Dead and altered ones look like any other."""
    informing.account("ann")
    informing.account("di")
    informing.informed()
    working, dead = informing.link("ann"), informing.link("di")
    informing.post(working)
    informing.account("di", status="deleted", email=None)
    for path in (dead, working[:-1], working.replace("/u/", "/c/")):
        assert informing.post(f"{path}/again").status_code in {404, 405}
        assert informing.get(f"{path}/again").status_code == 404
    assert informing.unsubscribed("ann")


@pytest.mark.parametrize(
    ("hours", "unsubscribed"), [(None, True), (-1, True), (0, True), (1, False)]
)
def test_opting_in_later_ends_it(
    informing: Informing,
    hours: int | None,
    unsubscribed: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """An account event that says so, in any order of arrival; not one of before, or of another."""
    informing.account("ann")
    informing.informed()
    at, notice = informing.place.clock, informing.notice("ann")
    informing.place.clock += 5 * HOUR
    opted_in: dict[str, Any] = (
        {} if hours is None else {"opted_in_at": (at + hours * HOUR).isoformat()}
    )
    for event_first in (False, True):
        if event_first:
            informing.account("ann", name="Ann", **opted_in)
        informing.reported(notice, "unsubscribed", at)
        if not event_first:
            informing.account("ann", name="Anna", **opted_in)
        assert informing.unsubscribed("ann") == unsubscribed
    informing.account("ann", name="Anne")
    assert informing.unsubscribed("ann") == unsubscribed, "the next event says nothing of it"
    assert informing.informed() == ([] if unsubscribed else ["a"])
