"""Unsubscribing: one POST, and a fact that account events do not undo."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest

from reconsent.facts.notice_ids import accounts_of
from reconsent.facts.record.unsubscribes import Unsubscribe, record_unsubscribes
from reconsent.store.postgres import Connection
from tests.integration.informing import HOUR, SITE, START, Informing
from tests.integration.stage import Stage
from tests.model.steps import Permit

ONE_CLICK = {"content": b"List-Unsubscribe=One-Click"}
URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


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
