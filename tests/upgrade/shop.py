"""The stages of the shop: it asks, is answered, asks again, and leaves work behind."""

from __future__ import annotations

import httpx

from tests.acceptance.forms import Page
from tests.acceptance.outside import opened, post
from tests.acceptance.versions import CALLS, EMAIL, OFFERS, OFFERS_BY_PARTNER, OFFERS_BY_US, PHONE
from tests.upgrade.building import Building
from tests.upgrade.cast import (
    APP,
    CHOICES,
    LATER,
    MARKETING,
    S1,
    S2,
    S3,
    S4,
    SHOP,
    SINCE,
    account,
    accounts_of_the_shop,
    address,
    choice,
    collection,
    collections_of_the_shop,
    deletion,
)


def ask(building: Building) -> None:
    """Ask by v3; half of the facts come by the bus."""
    place = building.place
    building.publish(S1, S2, S3)
    accounts = accounts_of_the_shop()
    place.take("import", "accounts", accounts[::2])
    place.take("emit", "accounts", accounts[1::2])
    collections = collections_of_the_shop()
    place.take("emit", "collections", collections[::2])
    place.take("import", "collections", collections[1::2])
    building.people(APP, "app-silent", "app-yes")
    place.take("emit", "choices", CHOICES[:-1])
    place.take("import", "choices", CHOICES[-1:])
    place.work()
    building.mailbox()


def be_answered(building: Building) -> None:
    """Answer on the page, report, opt out and delete."""
    place = building.place
    for name, said in (
        ("yes", "allow"), ("no", "deny"), ("changed", "allow"), ("forgotten", "allow"),
        ("returned", "allow"), ("part", {OFFERS_BY_US: "allow", OFFERS_BY_PARTNER: "deny"}),
        ("half", {OFFERS_BY_US: "allow"}), ("child-later", "allow"),
    ):  # fmt: skip
        building.answer(SHOP, name, "v3", said)
    building.answer(APP, "app-yes", "v3", "allow")
    changing = building.link(SHOP, "changed", "v3") + "/answers"
    assert post(place.web, changing, opened(place.web, changing), "deny").is_redirect
    reports = [
        building.report("bounced", "bounced", reason="550 no such mailbox"),
        building.report("complained", "complained"),
        building.report("blocked", "bounced", reason="blocked: 550 5.7.1 not from you"),
        building.report("dropped", "dropped", reason="Bounced Address"),
        building.report("delivered", "delivered"),
        building.report("silent", "deferred", reason="450 later"),
    ]
    place.take("emit", "mail-events", reports)
    since = {"updated_at": SINCE}
    place.take(
        "import",
        "accounts",
        [
            account(SHOP, "closed-later", status="deactivated", **since),
            account(SHOP, "quiet-later", contact="none", **since),
            account(SHOP, "child-later", minor=True, **since),
            account(SHOP, "forgotten", status="deleted", **since),
            account(SHOP, "returned", status="deleted", **since),
        ],
    )
    place.take("emit", "accounts", [deletion(SHOP, "buried", SINCE)])
    place.work()
    place.take("import", "accounts", [account(SHOP, "returned", updated_at=LATER)])
    place.take("import", "collections", [collection(SHOP, "returned", collected_at=LATER)])
    place.work()
    building.mailbox()


def publish_another(building: Building) -> None:
    """Publish v4: questions are superseded, and who has none is informed."""
    place = building.place
    building.publish(S4)
    place.work()
    building.mailbox()
    informed = {mail["to"]: mail for mail in building.mails if mail["one_click"]}
    page = httpx.URL(informed[address("page-out")]["link"]).path
    response = place.web.get(page)
    assert response.is_success
    assert place.web.post(httpx.URL(page).join(Page.of(response.text).action)).is_success
    click = httpx.URL(informed[address("click-out")]["one_click"]).path
    assert place.web.post(click, content="List-Unsubscribe=One-Click").is_success
    left = {
        "notice": informed[address("provider-out")]["notice"],
        "event": "unsubscribed",
        "occurred_at": LATER,
        "provider_id": "left",
    }
    place.take("emit", "mail-events", [left])
    place.work("intake")


def tell_others(building: Building) -> None:
    """Let the relay publish, and leave dead letters."""
    too_early = {"updated_at": "2098-01-01T00:00:00Z"}
    lost = {
        "notice": "00000000-0000-4000-8000-000000000000",
        "event": "delivered",
        "occurred_at": SINCE,
    }
    # These are not to be emitted again: they would be dead letters again.
    world = building.place.world
    world.take("emit", "accounts", [account(SHOP, "dead-letter", **too_early)])
    world.take("emit", "mail-events", [lost, lost | {"event": "bounced"}])
    building.place.work("intake")
    letters = world.run("dead-letters", "list", "--json").ndjson
    discarded = next(one["id"] for one in letters if one["topic"] == "mail-events")
    world.run("dead-letters", "discard", discarded, "--yes")
    building.place.work("scheduler")
    building.published = building.place.publish()


def leave_work(building: Building) -> None:
    """Leave work behind for each service."""
    place = building.place
    # What is due, and not sent.
    building.people(SHOP, "due", "due-quiet", "due-gone", "due-no", "due-deleted")
    building.people(APP, "app-due")
    place.work("planner")
    # What the planner has not seen.
    building.people(SHOP, "unplanned", "unplanned-closed")
    place.take(
        "import",
        "accounts",
        [
            account(SHOP, "due-quiet", contact="none", updated_at=LATER),
            account(SHOP, "unplanned-closed", status="deactivated", updated_at=LATER),
            account(SHOP, "bounced", email="moved@people.test", updated_at=LATER),
            account(SHOP, "closed", updated_at=LATER),
            account(SHOP, "due-deleted", status="deleted", updated_at=LATER),
        ],
    )
    place.take("import", "choices", [choice(SHOP, "due-no", "deny", data_use=MARKETING)])
    _leave_unread(building)


def _leave_unread(building: Building) -> None:
    """Leave events that nobody has read, after collections of another category."""
    place = building.place
    more = {"data_category": PHONE, "collected_at": LATER}
    place.take("import", "collections", [collection(SHOP, "part", **more)])
    place.take("emit", "accounts", [account(SHOP, "unread"), account(SHOP, "unread-quiet")])
    place.take(
        "emit",
        "collections",
        [collection(SHOP, "unread"), collection(SHOP, "unread-quiet", data_category=EMAIL)],
    )
    place.take(
        "emit",
        "accounts",
        [
            account(SHOP, "unread-quiet", contact="none", updated_at=LATER),
            deletion(SHOP, "due-gone", LATER),
            deletion(SHOP, "unread-gone", LATER),
            deletion("pool.example", "p-gone", LATER),
        ],
    )
    place.take(
        "emit",
        "choices",
        [
            choice(SHOP, "waiting", "deny", data_use=OFFERS, recipient="adpartner"),
            choice(SHOP, "silent", "allow", data_use=CALLS, evidence={"by": "clerk 7"}),
        ],
    )
    place.take("emit", "mail-events", [building.report("waiting", "delivered")])
