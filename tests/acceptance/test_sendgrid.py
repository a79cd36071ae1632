"""A release sent through SendGrid, and SendGrid's reports, from outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from tests.acceptance.outside import World, opened
from tests.acceptance.people import account, ask
from tests.acceptance.versions import OFFERS_BY_PARTNER, OFFERS_BY_US, V4
from tests.stand_ins.sendgrid import SendGridStandIn, running_sendgrid

_FATES: Final = {
    "bea": ["processed", "bounce"],
    "bob": ["processed", "deferred", "blocked"],
    "cal": ["processed", "delivered", "open", "spamreport"],
    "dot": ["dropped"],
    "eve": ["processed", "delivered", "group_unsubscribe"],
    "lea": ["processed", "deferred"],
}
"""What becomes of some mails; all others are delivered."""
_PEOPLE: Final = (*_FATES, *(f"p{n}" for n in range(30)))


@pytest.fixture(scope="module")
def sendgrid() -> Iterator[SendGridStandIn]:
    """A strict SendGrid, in a process of its own."""
    with running_sendgrid() as running:
        yield running


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, sendgrid: SendGridStandIn) -> World:
    """A world whose mails go to SendGrid."""
    made = World(tmp_path_factory.mktemp("world"))
    made.environment |= {
        "MAIL_URL": "sendgrid://",
        "MAIL_FROM": "Privacy <privacy@shop.example>",
        "SENDGRID_HOST": sendgrid.host,
        "SENDGRID_API_KEY": sendgrid.api_key,
        "SENDGRID_WEBHOOK_KEY": sendgrid.webhook_key,
        "SENDGRID_CATEGORIES": "policy notices",
    }
    return made


@pytest.fixture(scope="module")
def reported(world: World, web: httpx.Client, sendgrid: SendGridStandIn) -> dict[str, int]:
    """Mail a release, and let SendGrid report: late, three times, out of order, a few at a time."""
    assert web.get("/readyz").is_success
    sendgrid.post_events(
        f"{world.url}/hooks/sendgrid",
        fates={f"{name}@people.test": fate for name, fate in _FATES.items()},
        late=(0, 1.5),
        copies=3,
        shuffled=True,
        batch=40,
        seed=7,
    )
    ask(world, [account(name) for name in _PEOPLE])
    return sendgrid.posted()


def _states(world: World, *options: str) -> dict[str, str]:
    rows = world.run("notices", "--policy-version", "v3", "--json", *options).ndjson
    return {row["account"]: row["state"] for row in rows}


def test_what_sendgrid_reports_is_shown(world: World, reported: dict[str, int]) -> None:
    """Each notice has the state of its mail, in whatever order its reports arrived."""
    assert set(reported) == {"200"}
    expected = dict.fromkeys(_PEOPLE, "delivered") | {
        "bea": "bounced", "bob": "bounced", "cal": "complained", "dot": "bounced",
        "lea": "accepted",
    }  # fmt: skip
    assert _states(world) == expected
    assert _states(world, "--not-told") == dict.fromkeys(("bea", "bob", "dot"), "bounced")


@pytest.mark.usefixtures("reported")
def test_nobody_is_mailed_twice(world: World, sendgrid: SendGridStandIn) -> None:
    """One mail each, in few requests, with a link that works and the notice's id."""
    world.work()
    requests = sendgrid.accepted()
    people = Counter(
        to["email"] for request in requests for one in request["personalizations"]
        for to in one["to"]
    )  # fmt: skip
    assert people == {f"{name}@people.test": 1 for name in _PEOPLE}
    assert all(request["categories"] == ["policy notices"] for request in requests)
    told = {one["custom_args"]["reconsent_notice"] for one in sendgrid.personalizations()}
    assert told == {row["notice"] for row in world.run("notices", "--json").ndjson}


@pytest.mark.usefixtures("reported")
def test_the_link_that_sendgrid_puts_in_works(web: httpx.Client, sendgrid: SendGridStandIn) -> None:
    """Each person's own link replaces the mail's placeholder."""
    request = sendgrid.accepted()[0]
    [(mark, link)] = request["personalizations"][0]["substitutions"].items()
    assert all(mark in part["value"] for part in request["content"])
    assert opened(web, link).asks == {OFFERS_BY_US, OFFERS_BY_PARTNER}


@pytest.mark.usefixtures("reported")
def test_reachable_accounts_are_asked_by_the_next_version(
    world: World, sendgrid: SendGridStandIn
) -> None:
    """A blocked mail says nothing about the address; a bounce, a drop and a complaint do."""
    before = len(sendgrid.personalizations())
    world.take("emit", "policy-versions", [V4])
    world.take(
        "emit",
        "collections",
        [
            {
                "property": "shop.example", "account": name, "collected_under": "v1",
                "data_category": "user.contact.phone", "collected_at": "2020-01-01T00:00:00Z",
            }
            for name in ("bea", "bob", "cal", "dot", "p1")
        ],
    )  # fmt: skip
    world.work()
    sendgrid.posted()
    rows = world.run("notices", "--policy-version", "v4", "--json").ndjson
    states = {row["account"]: (row["state"], row["suppression"]) for row in rows}
    left_out = ("suppressed", "bounced")
    assert {name: states[name] for name in ("bea", "cal", "dot")} == {
        "bea": left_out, "cal": left_out, "dot": left_out,
    }  # fmt: skip
    assert states["p1"] == ("delivered", None)
    assert states["bob"] == ("bounced", None)
    mailed = [one["to"][0]["email"] for one in sendgrid.personalizations()[before:]]
    assert {"bob@people.test", "p1@people.test"} <= set(mailed)


def test_a_wrong_key_stops_the_dispatcher_and_loses_nothing(
    world: World, sendgrid: SendGridStandIn, reported: dict[str, int]
) -> None:
    """One clear line, exit 3; with the right key everything goes out."""
    assert reported
    world.take("emit", "accounts", [account("zoe")])
    collected = {"property": "shop.example", "account": "zoe", "collected_under": "v1"}
    told = {"data_category": "user.contact.email", "collected_at": "2020-01-01T00:00:00Z"}
    world.take("emit", "collections", [collected | told])
    world.work("intake", "planner")
    wrong = {"SENDGRID_API_KEY": "SG.wrong"}
    ended = world.run("run", "dispatcher", "--until-idle", code=3, environment=wrong)
    assert "SENDGRID_API_KEY" in ended.complaint
    assert "401" in ended.complaint
    assert "SG.wrong" not in ended.err
    waiting = world.run("notices", "--account", "zoe", "--state", "due", "--json").ndjson
    assert len(waiting) == 1
    world.work("dispatcher")
    sendgrid.posted()
    [notice] = world.run("notices", "--account", "zoe", "--json").ndjson
    assert notice["state"] == "delivered"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENDGRID_ASM_GROUP", "legal"),
        ("SENDGRID_CATEGORIES", "x" * 300),
        ("SENDGRID_TRACKING", "on"),
        ("SENDGRID_WEBHOOK_KEY", "not a key"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(world: World, name: str, value: str) -> None:
    """Starting the pages reports at once what is wrong, and where."""
    listen = {"RECONSENT_LISTEN": "127.0.0.1:0"}
    ended = world.run("run", "web", code=2, environment={name: value, **listen})
    assert ended.complaint.startswith(f"{name}: ") or f" {name}: " in ended.complaint
