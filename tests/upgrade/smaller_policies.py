"""The stages of the smaller policies: the club, the gym, the mill, the pool and the pier."""

from __future__ import annotations

import os
import signal
import time

from tests.acceptance.outside import forking
from tests.acceptance.versions import OFFERS_BY_PARTNER
from tests.forking.client import Request
from tests.stand_ins.smtp_server import SILENCE, TAKE_AND_HANG_UP
from tests.upgrade.building import Building
from tests.upgrade.cast import (
    C1,
    C2,
    CLUB,
    FATES,
    GYM,
    KLUBB,
    MEDLEMMER,
    MEMBERS,
    MILL,
    PIER,
    POOL,
    address,
    choice,
)


def club(building: Building) -> None:
    """Ask through SendGrid, which reports by its webhook, and remind."""
    place = building.place
    habits = {"fates": {address(name): fate for name, fate in FATES.items()}}
    building.sendgrid.post_events(f"{place.world.url}/hooks/sendgrid", **habits)
    building.publish(C1, C2)
    building.people(CLUB, *MEMBERS)
    building.people(KLUBB, *MEDLEMMER)
    place.work("planner")
    place.work("dispatcher", mail="sendgrid://")
    assert set(building.sendgrid.posted()) == {"200"}
    building.note_sendgrid()
    building.answer(CLUB, "c-yes", "c2", "allow")
    building.answer(CLUB, "c-no", "c2", "deny")
    building.answer(CLUB, "c-half", "c2", {OFFERS_BY_PARTNER: "deny"})
    building.answer(KLUBB, "k-yes", "c2", "allow")

    def reminded() -> bool:
        return any(one["kind"] == "reminder" for one in place.notices())

    building.until(reminded, "scheduler")
    place.work("dispatcher", mail="sendgrid://")
    assert set(building.sendgrid.posted()) == {"200"}
    building.note_sendgrid()


def gym(building: Building) -> None:
    """Ask by SMTP; one answers, of the others time runs out."""
    building.publish(*GYM)
    building.people("gym.example", "g-expired", "g-yes", "g-late-yes")
    building.place.work("planner")
    building.place.work("dispatcher", mail=building.smtp.url())
    building.note_smtp()
    building.answer("gym.example", "g-yes", "2", "allow")

    def expired() -> bool:
        return bool(building.states("gym")["g-expired"]["settled"] == "expired")

    building.until(expired, "scheduler")
    # After the expiry: a yes counts.
    building.place.take("emit", "choices", [choice("gym.example", "g-late-yes", "allow")])
    building.place.work("intake")


def mill(building: Building) -> None:
    """Let mail servers refuse, hang up after the mail, and fall silent."""
    server = building.smtp
    server.odd_for["RCPT", address("m-refused")] = "550 5.1.1 no such mailbox"
    for name in ("m-unknown", "m-lost", "m-given-up"):
        server.odd_for[".", address(name)] = TAKE_AND_HANG_UP
    server.odd_for[".", address("m-stuck")] = SILENCE
    building.publish(*MILL)
    building.people("mill.example", "m-given-up")
    building.place.work("planner")
    building.place.work("dispatcher", mail=server.url())
    at_once = {"RECONSENT_SETTLE_AFTER": "PT0S"}
    building.place.world.run("run", "scheduler", "--until-idle", environment=at_once)
    building.people("mill.example", "m-refused", "m-unknown", "m-lost")
    building.place.work("planner")
    building.place.work("dispatcher", mail=server.url())
    building.people("mill.example", "m-stuck")
    building.place.work("planner")
    _kill_a_dispatcher(building)
    building.note_smtp()


def _kill_a_dispatcher(building: Building) -> None:
    """Kill a dispatcher while the mail server lets it wait."""
    world, forker = building.place.world, forking()
    log = str(world.folder / "killed.log")
    request = Request(
        arguments=["run", "dispatcher"],
        environment=world.environment | {"MAIL_URL": building.smtp.url()},
        folder=str(world.folder),
        stdout=log,
        stderr=log,
    )
    before = building.smtp.odd_replies["."]
    process = forker.start(request)
    deadline = time.monotonic() + 60
    while building.smtp.odd_replies["."] == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process, signal.SIGKILL)
    forker.wait(process)
    assert building.states("mill")["m-stuck"]["state"] == "attempting"


def pool_and_pier(building: Building) -> None:
    """Pause one release before it is planned, and cancel the other when it has begun."""
    place = building.place
    building.publish(*POOL)
    place.world.run("release", "pause", "pool", "2")
    building.people("pool.example", "p-1", "p-2", "p-gone")
    building.publish(*PIER)
    building.people("pier.example", "f-mailed", "f-yes")
    place.work("planner", "dispatcher")
    building.mailbox()
    place.world.run("release", "cancel", "pier", "2", "--yes")
    building.people("pier.example", "f-late")
    building.answer("pier.example", "f-yes", "2", "allow")
    place.work("planner", "dispatcher")
