"""Pausing, resuming and cancelling releases, and reminders, from outside. RULES 16."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.acceptance.outside import World, answer
from tests.acceptance.people import account, collection
from tests.acceptance.versions import V1, V3, Json

_PATIENCE = 120.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a RECONSENT_HOME for one test."""
    return World(tmp_path)


@pytest.fixture
def web(world: World) -> Iterator[httpx.Client]:
    """Serve the world's pages."""
    with world.serving() as client:
        yield client


def prepared(world: World, notice: Json | None = None) -> None:
    """Publish a version that asks two people; nothing is sent yet."""
    world.run("policy", "publish", world.policy_file(V1))
    people = [account("ann"), account("bo")]
    world.take("import", "accounts", people)
    world.take("import", "collections", [collection(one["account"]) for one in people])
    world.work("planner")
    latest = V3 | {"follows": "v1"} | ({"notice": notice} if notice else {})
    world.run("policy", "publish", world.policy_file(latest))


def test_what_did_not_arrive_is_resent_by_order(world: World) -> None:
    """The order and its reason are kept; without anything undelivered it does nothing."""
    prepared(world)
    world.work()
    order = ("release", "resend", "shop", "v3", "--reason", "listed", "--json")
    expected = {"policy": "shop", "policy_version": "v3", "order": "resend"}
    nothing = {"asked_again": 0, "marked": 0}
    assert world.run(*order).json == expected | nothing
    notices = [n["notice"] for n in world.run("notices").ndjson if n["kind"] == "choice"]
    at = datetime.now(UTC).isoformat()
    report = {"event": "bounced", "reason": "blocked: listed", "occurred_at": at}
    gone = report | {"reason": "550 5.1.1 no such user", "notice": notices[1]}
    world.take("emit", "mail-events", [report | {"notice": notices[0]}, gone])
    world.work("intake")
    assert world.run(*order).json == expected | {"asked_again": 1, "marked": 1}
    assert len(world.mails()) == 2
    world.work()
    assert len(world.mails()) == 3
    assert world.run(*order[:-1]).out == "shop v3: 0 notices asked again\n"
    world.take("emit", "mail-events", [gone | {"occurred_at": datetime.now(UTC).isoformat()}])
    world.work("intake")
    shown = world.run(*order[:-1]).out
    assert shown == ("shop v3: 0 notices asked again; 1 not, because the mailbox is marked\n")
    refused = world.run("release", "resend", "shop", "v1", code=2).err
    assert refused == "reconsent: release: shop v1 is over: v3 was published\n"


def test_a_release_is_paused_resumed_and_cancelled(world: World) -> None:
    """Nothing is sent while the release is paused, or after it was cancelled."""
    prepared(world)
    paused = world.run("release", "pause", "shop", "v3", "--json").json
    assert paused == {"policy": "shop", "policy_version": "v3", "order": "pause", "changed": True}
    world.work()
    assert world.mails() == []
    [release] = [r for r in world.run("release", "list").ndjson if r["policy_version"] == "v3"]
    assert (release["state"], release["notices"]) == ("paused", {"planned": 2})
    world.run("release", "resume", "shop", "v3")
    world.work("dispatcher")
    assert len(world.mails()) == 2
    world.take("import", "accounts", [account("cy")])
    world.take("import", "collections", [collection("cy")])
    world.work("planner")
    world.run("release", "cancel", "shop", "v3")
    world.work()
    assert len(world.mails()) == 2
    [untold] = world.run("notices", "--not-told", "--json").ndjson
    assert (untold["account"], untold["suppression"]) == ("cy", "cancelled")


def test_invalid_orders_are_refused(world: World) -> None:
    """One line names the mistake, and nothing changes."""
    prepared(world)
    assert "v9 is not published" in world.run("release", "pause", "shop", "v9", code=2).complaint
    assert "v1 is over" in world.run("release", "pause", "shop", "v1", code=2).complaint
    world.run("release", "cancel", "shop", "v3", "--yes")
    assert "permanent" in world.run("release", "resume", "shop", "v3", code=2).complaint
    for incomplete in ((), ("shop",)):
        said = world.run("release", "resume", *incomplete, code=2).complaint
        assert "give a POLICY and a VERSION" in said
    said = world.run("release", "resume", "shop", "v3", "--after-restore", code=2).complaint
    assert "all releases" in said


def test_people_who_have_not_answered_are_reminded(world: World, web: httpx.Client) -> None:
    """A reminder is sent when it is due; its link leads to the same question."""
    prepared(world, {"respond_by": "P1D", "reminders": ["PT2S"]})
    # Without the scheduler, no reminder is planned before somebody has answered.
    world.work("planner", "dispatcher")
    [first] = world.mails("ann@people.test")
    answer(web, world.link("bo@people.test"), "deny")
    deadline = time.monotonic() + _PATIENCE
    while len(world.mails("ann@people.test")) < 2:
        assert time.monotonic() < deadline, "no reminder was sent"
        world.work()
    [_, reminder] = world.mails("ann@people.test")
    assert len(world.mails("bo@people.test")) == 1
    assert "Reminder" in reminder.subject
    assert reminder.link == first.link
    assert reminder.notice != first.notice
    answer(web, world.link("ann@people.test"), "allow")
    settled = {n["settled"] for n in world.run("notices", "--json").ndjson if n["kind"] == "choice"}
    assert settled == {"answered"}
