"""Dead letters, as an operator sees them: listed, shown, fixed and retried, or discarded."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest

from tests.acceptance.versions import V1, V2, V3

if TYPE_CHECKING:
    import httpx

    from tests.acceptance.outside import Json, World

LISTED: Final = {
    *("id", "topic", "key", "sent_at", "reason", "original_partition", "original_offset"),
}


@pytest.fixture
def place(world: World, web: httpx.Client) -> World:
    """A world whose database stays up: starting it takes longer than most commands."""
    assert web.get("/readyz").is_success
    return world


def _unusable(world: World, count: int) -> list[str]:
    """Emit versions whose predecessors are missing; return the ids of the dead letters."""
    policies = {f"p{uuid4().hex[:12]}" for _ in range(count)}
    rows = [V2 | {"policy": policy, "properties": [f"{policy}.example"]} for policy in policies]
    world.take("emit", "policy-versions", rows)
    world.work("intake")
    return [row["id"] for row in _listed(world) if row["key"] in policies]


def _listed(world: World, *options: str) -> list[Json]:
    return world.run("dead-letters", "list", *options).ndjson


def _ids(world: World) -> set[str]:
    return {row["id"] for row in _listed(world)}


def test_a_dead_letter_is_fixed_and_retried(place: World) -> None:
    """Listed, shown, fixed, retried: then it is recorded, and the dead letter is gone."""
    place.take("emit", "policy-versions", [V2, V3])
    place.work("intake")
    two, three = _listed(place, "--topic", "policy-versions", "--json")
    assert set(two) == set(three) == LISTED
    assert (two["topic"], two["key"]) == ("policy-versions", "shop")
    assert "'v1'" in two["reason"]
    assert place.run("status", "--json").json["dead_letters"]["policy-versions"] == 2

    shown = place.run("dead-letters", "show", two["id"], "--json").json
    assert set(shown) > LISTED
    assert (shown["value"]["version"], shown["value_base64"]) == ("v2", None)
    assert ["ce_type", "reconsent.policy-version.v1"] in shown["headers"]
    for_people = place.run("dead-letters", "show", two["id"]).out
    assert two["reason"] in for_people
    assert '"version": "v2"' in for_people

    again = place.run("dead-letters", "retry", "--all", "--topic", "policy-versions", code=1)
    assert again.out == "0 recorded, 2 refused again\n"
    assert [two["id"] in line for line in again.err.splitlines()] == [True, False]

    place.run("policy", "publish", place.policy_file(V1))
    done = place.run("dead-letters", "retry", two["id"], "--with-later", "--json")
    assert done.json == {
        "taken": [two["id"], three["id"]], "refused": [], "left": [], "gone": [],
    }  # fmt: skip
    assert [re.sub(r"^\S+ \S+ ", "", line) for line in done.err.splitlines()] == [
        f"retried {each['id']} (shop): recorded" for each in (two, three)
    ]
    assert place.run("policy", "publish", place.policy_file(V3), "--json").json["new"] is False
    assert _listed(place, "--topic", "policy-versions") == []
    assert place.run("status", "--json").json["dead_letters"]["policy-versions"] == 0
    assert two["id"] in place.run("dead-letters", "retry", two["id"], code=2).complaint


def test_a_dead_letter_is_discarded(place: World) -> None:
    """The log says what was discarded, and by whom; it does not come back."""
    one, two = _unusable(place, 2)
    assert "--yes" in place.run("dead-letters", "discard", one, code=2).complaint
    done = place.run("dead-letters", "discard", one, "--yes")
    assert done.out == "1 discarded\n"
    assert f" discarded {one} (" in done.complaint
    assert "follows" in done.complaint
    place.work("intake")
    left = _ids(place)
    assert one not in left
    assert two in left
    discarded = place.run("dead-letters", "discard", "--all", "--yes", "--json").json["discarded"]
    assert set(discarded) == left
    assert place.run("dead-letters", "discard", "--all", "--json").json == {"discarded": []}
    assert place.run("dead-letters", "retry", "--all").out == "0 recorded, 0 refused again\n"
    assert set(place.run("status", "--json").json["dead_letters"].values()) == {0}


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("", 1), ("y", 0)])
def test_discarding_is_confirmed_on_a_terminal(place: World, answer: str, code: int) -> None:
    """The letters are shown before the question; anything but a yes changes nothing."""
    ids = set(_unusable(place, 2))
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    ended = subprocess.run(
        [sys.executable, "-m", "reconsent", "dead-letters", "discard", *ids],
        stdin=theirs,
        capture_output=True,
        env=place.environment,
        timeout=60,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert ended.returncode == code, ended.stderr
    shown, asked, _ = ended.stderr.decode().partition("Discard 2 permanently?")
    assert asked
    assert all(id_ in shown for id_ in ids)
    assert ids & _ids(place) == (ids if code else set())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("show nonsense", "nonsense"),
        ("show accounts:2:99", "accounts:2:99"),
        ("show", "ID"),
        ("retry nowhere:1:2", "nowhere"),
        ("retry mail-events:2:99999999999999999999", "mail-events:2:99999999999999999999"),
        ("retry", "--all"),
        ("retry --all accounts:2:1", "--all"),
        ("retry accounts:2:1 --topic accounts", "--topic"),
        ("retry --all --topic permissions", "permissions"),
        ("discard accounts:2:99 --yes", "accounts:2:99"),
        ("list --account ann", "--property"),
        ("list --topic nonsense", "nonsense"),
        ("accept nonsense", "nonsense"),
        ("accept accounts", "is not stopped"),
    ],
)
def test_a_mistyped_command_is_reported_in_a_line(place: World, arguments: str, named: str) -> None:
    """Exit 2, one line that names what is wrong, and nothing is changed."""
    ended = place.run("dead-letters", *arguments.split(), code=2)
    assert named in ended.complaint
    assert ended.out == ""


def test_a_wrong_id_rejects_the_whole_command(place: World) -> None:
    """With one wrong id among several, none is retried or discarded."""
    (report,) = _unusable(place, 1)
    for verb in ("retry", "discard"):
        options = ["--yes"] if verb == "discard" else []
        ended = place.run("dead-letters", verb, report, "accounts:0:7", *options, code=2)
        assert "accounts:0:7" in ended.complaint
    assert report in _ids(place)
