"""A feed that goes wrong, as operators and people see it: all else goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.outside import API_TOKEN, World, answer, opened
from tests.acceptance.people import account, choice, collection
from tests.acceptance.versions import LONG_AGO, OFFERS, V1, V2, V3, version

CHAIN: Final = 130
_PATIENCE: Final = 60.0


@pytest.fixture(scope="module")
def up(world: World) -> Iterator[httpx.Client]:
    """Run `up`; yield a client of its pages."""
    with world.serving("up") as client:
        yield client


@pytest.fixture(scope="module")
def shop(world: World, up: httpx.Client) -> World:
    """A shop that asks Ann a question."""
    assert up.get("/readyz").is_success
    for published in (V1, V2, V3):
        world.run("policy", "publish", world.policy_file(published))
    world.take("import", "accounts", [account(name) for name in ("ann", "bo", "cy")])
    world.take("import", "collections", [collection("ann")])
    return world


def _until(found: Callable[[], Any]) -> Any:  # noqa: ANN401 -- whatever is found
    """Return what is found, once there is something."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with suppress(IndexError):
            if result := found():
                return result
        time.sleep(0.1)
    raise AssertionError("nothing was found")


def _status(world: World) -> Any:  # noqa: ANN401 -- JSON
    return world.run("status", "--json").json


def _choose(world: World, name: str) -> None:
    """Emit a choice, and wait until it is recorded."""
    world.take("emit", "choices", [choice(name, "deny")])
    _until(lambda: world.run("consents", name, "--property", "shop.example").ndjson)


def _metric(up: httpx.Client, name: str) -> int:
    response = up.get("/metrics", headers={"Authorization": f"Bearer {API_TOKEN}"})
    [line] = [line for line in response.text.splitlines() if line.startswith(f"{name} ")]
    return int(line.split()[-1])


def _chain(policy: str) -> list[dict[str, Any]]:
    """Return versions that follow one another; the first of them follows one that is missing."""
    return [
        version(f"w{number}", f"w{number - 1}", policy=policy, properties=[f"{policy}.example"])
        for number in range(1, CHAIN + 1)
    ]


def test_reports_about_others_mails_stop_nothing(shop: World, up: httpx.Client) -> None:
    """They are counted in status and metrics; the pages take answers, and topics are read."""
    reports = [
        {"notice": str(uuid4()), "event": "bounced", "occurred_at": LONG_AGO} for _ in range(250)
    ]
    shop.take("emit", "mail-events", reports)
    _until(lambda: _status(shop)["reports_not_ours"] == len(reports))
    assert _metric(up, "reconsent_reports_not_ours") == len(reports)
    found = _status(shop)
    assert (found["stopped_topics"], found["lags"]["mail-events"]) == ({}, 0)
    assert set(found["dead_letters"].values()) == {0}
    assert "250 mail events" in shop.run("status").out

    link = _until(lambda: shop.link("ann@people.test"))
    assert answer(up, link, "deny").is_success
    _choose(shop, "bo")


def test_a_topic_is_stopped_until_its_cause_is_repaired(shop: World, up: httpx.Client) -> None:
    """The pages answer, choices are recorded, and what is stopped is told everywhere."""
    versions = _chain("repaired")
    shop.take("emit", "policy-versions", versions)
    stopped = _until(lambda: _status(shop)["stopped_topics"])
    assert list(stopped) == ["policy-versions"]
    assert "w0" in stopped["policy-versions"]["why"]
    ready = up.get("/readyz")
    assert ready.is_success
    assert ready.json()["stopped_topics"] == stopped
    assert _metric(up, 'reconsent_topic_stopped{topic="policy-versions"}') == 1
    assert _metric(up, 'reconsent_topic_stopped{topic="choices"}') == 0
    shown = shop.run("status").out
    assert "policy-versions has been stopped since" in shown

    opened(up, _until(lambda: shop.link("ann@people.test")))
    _choose(shop, "cy")

    first = version("w0", None, policy="repaired", properties=["repaired.example"])
    shop.run("policy", "publish", shop.policy_file(first))
    _until(lambda: not _status(shop)["stopped_topics"])
    assert "stopped_topics" not in up.get("/readyz").json()
    assert _status(shop)["dead_letters"]["policy-versions"] == 0
    shop.run("policy", "publish", shop.policy_file(versions[-1]))


def test_a_topic_goes_on_once_its_messages_are_accepted(shop: World, up: httpx.Client) -> None:
    """They become dead letters, however many; the log says who accepted them."""
    shop.take("emit", "policy-versions", _chain("accepted"))
    _until(lambda: _status(shop)["stopped_topics"])
    done = shop.run("dead-letters", "accept", "policy-versions")
    assert "accepted policy-versions" in done.complaint
    _until(lambda: not _status(shop)["stopped_topics"])
    assert _status(shop)["dead_letters"]["policy-versions"] == CHAIN
    assert up.get("/readyz").json() == {"status": "ready"}


def test_until_idle_ends_when_a_topic_is_stopped(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Everything else is done; then one line says which topic and why, and the exit code is 3."""
    world = World(tmp_path_factory.mktemp("stopped"))
    with world.serving():
        world.take("emit", "policy-versions", _chain("stopped"))
        world.take("emit", "choices", [choice("ann", "deny", data_use=OFFERS)])
        ended = world.run("run", "intake", "planner", "--until-idle", code=3)
        last = ended.err.splitlines()[-1]
        assert last.startswith("reconsent: policy-versions: partition ")
        assert "is stopped" in last
        assert "run: reconsent dead-letters accept policy-versions" in world.run("status").out
        world.run("dead-letters", "accept", "policy-versions")
        shown = world.run("status").out
        assert "accepted as dead letters" in shown
        assert "run: reconsent dead-letters accept" not in shown
        assert world.run("consents", "ann", "--property", "shop.example").ndjson
