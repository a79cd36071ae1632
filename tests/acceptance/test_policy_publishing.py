"""Publishing a policy's history, step by step: what each command says to do next."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Final

import pytest

from tests.acceptance.outside import World
from tests.acceptance.people import account, collection
from tests.acceptance.versions import (
    ANALYTICS,
    BEHAVIOR,
    EMAIL,
    LONG_AGO,
    SERVICE,
    Json,
    later,
    version,
)

_SITE: Final[Json] = {"policy": "steps", "properties": ["steps.example"]}
V1: Final = version("s1", None, (EMAIL, [SERVICE], []), **_SITE)
V2: Final = version("s2", "s1", (EMAIL, [SERVICE, ANALYTICS], []), **_SITE)
V3: Final = version(
    "s3", "s2", (EMAIL, [SERVICE, ANALYTICS], []), (BEHAVIOR, [ANALYTICS], []),
    **_SITE | {"effective_at": later(days=30)},
)  # fmt: skip


@pytest.fixture(scope="module")
def told(world: World) -> list[str]:
    """Publish three versions, with an account before the second; return what was said."""
    said = [world.run("policy", "publish", world.policy_file(V1)).out]
    at = {"property": "steps.example"}
    world.take("import", "accounts", [account("ann", **at)])
    world.take("import", "collections", [collection("ann", **at, collected_under="s1")])
    said += [world.run("policy", "publish", world.policy_file(one)).out for one in (V2, V3)]
    return said


def test_publishing_says_what_comes_next(world: World, told: list[str]) -> None:
    """The planner must not run before a history is whole, nor without any account."""
    first, second, third = told
    assert "run planner" not in first
    assert "no account is known" in first
    assert "if another version follows it already, publish that one first" in second
    assert "\nnext: reconsent run planner dispatcher --until-idle" in third
    again = world.run("policy", "publish", world.policy_file(V1)).out
    assert again == "steps s1 is already published; nothing changed\n"


@pytest.mark.usefixtures("told")
def test_an_older_version_has_no_preview(world: World) -> None:
    """It would show whom the latest one concerns."""
    path = world.policy_file(V2)
    complaint = world.run("policy", "preview", path, code=2).complaint
    assert complaint.startswith(
        f"reconsent: {path}:2: version: 's2' is published already, and 's3'"
    )
    assert world.run("policy", "preview", world.policy_file(V3), "--json").json["choice"] == 1


@pytest.mark.usefixtures("told")
def test_check_says_what_a_version_was_compared_with(world: World) -> None:
    """With what is published, or with a draft beside the file."""
    published = world.policy_file(V3)
    assert "; compared with s2 as published" in world.run("policy", "check", published).out
    draft = world.policy_file(V3 | {"version": "s4", "follows": "s3"})
    found = world.run("policy", "check", draft, "--json").json
    assert found["predecessor"] == {"version": "s3", "file": None}
    after = draft.with_name("s5.yaml")
    after.write_text(draft.read_text().replace("s4", "s5").replace("s3", "s4"))
    after.with_name("s5.en.md").write_text("# Privacy\n")
    assert f"; compared with s4 in {draft}, which is not published" in (
        world.run("policy", "check", after).out
    )
    found = world.run("policy", "check", after, "--json").json
    assert found["predecessor"] == {"version": "s4", "file": str(draft)}

    beside = draft.with_name("s3.yaml")
    beside.write_text(published.read_text().replace("s3.en", "s5.en"))
    assert f"{beside}: differs from what is published as s3" in (
        world.run("policy", "check", draft).err
    )


@pytest.mark.usefixtures("told")
def test_what_cannot_be_meant_is_not_published(world: World) -> None:
    """Publish and preview refuse it with its place, as check does; a topic's version is read."""
    parties = {"example": {"name": "Example", "country": "XX"}}
    broken = V3 | {"version": "s4", "follows": "s3", "parties": parties}
    path = world.policy_file(broken)
    for command in ("check", "publish", "preview"):
        complaint = world.run("policy", command, path, code=2).err
        assert "XX is not a country of ISO 3166" in complaint.splitlines()[0]
        assert complaint.startswith(f"{path}:")
    assert world.take("emit", "policy-versions", [broken])["new"] == 1
    world.work("intake")
    assert world.run("dead-letters", "list").out == ""
    again = world.run("policy", "publish", path, "--json").json
    assert again["new"] is False


@pytest.mark.usefixtures("told")
def test_what_is_published_is_listed_and_shown(world: World) -> None:
    """With what is in force and which properties are governed; a typo is told."""
    rows = [one for one in world.run("policy", "list").ndjson if one["policy"] == "steps"]
    assert [(one["version"], one["state"], one["follows"]) for one in rows[:3]] == [
        ("s1", "replaced", None), ("s2", "in_force", "s1"), ("s3", "upcoming", "s2"),
    ]  # fmt: skip
    assert all(one["properties"] == ["steps.example"] for one in rows)
    shown = world.run("policy", "show", "steps", "s2").out
    assert shown.startswith("steps s2: in force\n")
    assert "new use, by Example AS (NO); material; stored data is affected" in shown
    document = world.run("policy", "show", "steps", "s1", "--json").json
    assert document["document"]["declares"] == [{"data": EMAIL, "uses": [SERVICE]}]
    assert document["latest"] is False
    told = world.run("policy", "show", "stepps", code=2).complaint
    assert told == "reconsent: stepps: no such policy is published: did you mean steps?"
    told = world.run("policy", "show", "steps", "s9", code=2).complaint
    assert told.startswith("reconsent: steps s9: is not published; steps has s1, s2, s3")


def _with_people(world: World, policy: str) -> Json:
    """Publish m1 of a policy that governs three people; return what its versions share."""
    at = {"property": f"{policy}.example"}
    site: Json = {"policy": policy, "properties": [at["property"]]}
    first = version("m1", None, (EMAIL, [SERVICE, ANALYTICS], []), **site)
    world.run("policy", "publish", world.policy_file(first))
    people = ("ann", "bo", "cy")
    world.take("import", "accounts", [account(name, **at) for name in people])
    held = [collection(name, **at, collected_under="m1") for name in people]
    world.take("import", "collections", held)
    return site


def test_preview_says_what_ends_and_how_long_it_takes(world: World) -> None:
    """Another controller, and a pace at which the mails come too late."""
    site = _with_people(world, "moving")
    first = version("m1", None, (EMAIL, [SERVICE, ANALYTICS], []), **site)
    parties = {**first["parties"], "sister": {"name": "Sister AS", "country": "NO"}}
    moved = version(
        "m2", "m1", (EMAIL, [SERVICE, ANALYTICS], []),
        **site, controller="sister", effective_at=later(days=1), parties=parties,
    )  # fmt: skip
    path = world.policy_file(moved)
    slow = {"RECONSENT_MAILS_PER_SECOND": "0.00001"}
    found = world.run("policy", "preview", path, "--json", environment=slow).json
    assert (found["choice"], found["ending"], found["continuing"]) == (3, 3, 0)
    assert found["rollout_seconds"] == 300_000
    shown = world.run("policy", "preview", path, environment=slow).out
    assert "another controller: from " in shown
    assert "no permission for the new one; this concerns 3 accounts, until they say yes" in shown
    assert "sending takes 3 d 11 h\nthat is longer than until it takes effect" in shown
    slow = {"RECONSENT_MAILS_PER_SECOND": "1"}
    assert "at 1 mail a second" in world.run("policy", "preview", path, environment=slow).out
    shown = world.run("policy", "preview", path).out
    assert "sending takes" not in shown
    differs = world.run("policy", "diff", world.policy_file(first), path, code=1).out
    assert "what Example AS (NO) may do with it is no permission for Sister AS (NO)" in differs
    assert "was example in 'm1'" in world.run("policy", "check", path).err


def test_what_goes_on_and_what_is_late(world: World) -> None:
    """Preview says that a dropped use goes on; status says about which version mails wait."""
    site = _with_people(world, "dropping")
    dropped = version("m2", "m1", (EMAIL, [SERVICE], []), **site)
    shown = world.run("policy", "preview", world.policy_file(dropped)).out
    assert "what this version drops stays allowed for data already held, of 3 accounts" in shown

    asking = version("m2", "m1", (EMAIL, [SERVICE, ANALYTICS, "juggling"], []), **site)
    world.run("policy", "publish", world.policy_file(asking))
    world.work("planner")
    assert world.run("status", "--json").json["late"] == [
        {"policy": "dropping", "policy_version": "m2", "effective_at": LONG_AGO, "waiting": 3}
    ]
    assert "dropping m2 has been in force since" in world.run("status").out
    world.work()
    assert world.run("status", "--json").json["late"] == []


def test_preview_tells_who_is_never_asked_about_another_controller(world: World) -> None:
    """Nobody waits for the yes of those who opted out or are deactivated."""
    site: Json = {"policy": "leaving", "properties": ["leaving.example"]}
    at = {"property": "leaving.example"}
    first = version("l1", None, (EMAIL, [SERVICE], []), **site)
    world.run("policy", "publish", world.policy_file(first))
    people = [
        account("ann", **at),
        account("bo", **at, contact="none"),
        account("cy", **at, status="deactivated"),
    ]
    held = [collection(one["account"], **at, collected_under="l1") for one in people]
    parties = {**first["parties"], "sister": {"name": "Sister AS", "country": "NO"}}
    moved = version(
        "l2", "l1", (EMAIL, [SERVICE], []), **site, controller="sister", parties=parties
    )
    path = world.policy_file(moved)
    for number, asked, told in (
        (1, 1, "1 account, until they say yes"),
        (2, 1, "2 accounts: 1 until they say yes; 1 will not be asked"),
        (3, 1, "3 accounts: 1 until they say yes; 2 will not be asked"),
    ):
        world.take("import", "accounts", people[:number])
        world.take("import", "collections", held[:number])
        found = world.run("policy", "preview", path, "--json").json
        assert (found["ending"], found["ending_asked"]) == (number, asked)
        assert f"this concerns {told}" in world.run("policy", "preview", path).out


def test_a_setting_that_nobody_reads_is_told(world: World) -> None:
    """On standard error, with the closest one. Status says what to start."""
    ended = world.run("status", environment={"RECONSENT_DELIVERRY": "at_least_once"})
    assert "No service is running: reconsent up" in ended.out
    assert ended.complaint == (
        "RECONSENT_DELIVERRY: no such setting: did you mean RECONSENT_DELIVERY? (warning)"
    )


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("", 1), ("y", 0)])
def test_warnings_are_repeated_before_a_version_is_published(
    world: World, answer: str, code: int
) -> None:
    """It never changes afterwards: on a terminal anything but a yes publishes nothing."""
    name = f"w{answer}"
    site = {"policy": name, "properties": [f"{name}.example"]}
    path = world.policy_file(version("w1", None, (EMAIL, [SERVICE], []), **site))
    path.with_name("w1.en.md").write_text("# Privacy\n\nBy {{ company }}.\n")
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    ended = subprocess.run(
        [sys.executable, "-m", "reconsent", "policy", "publish", str(path)],
        stdin=theirs,
        capture_output=True,
        env=world.environment,
        timeout=60,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert ended.returncode == code, ended.stderr
    warned, asked, _ = ended.stderr.decode().partition(f"Publish {name} w1 as it is, permanently?")
    assert asked
    assert "w1.en.md:3: {{ company }} looks like a placeholder" in warned
    listed = {(one["policy"], one["version"]) for one in world.run("policy", "list").ndjson}
    assert ((name, "w1") in listed) == (code == 0)
    if code:
        elsewhere = world.run("policy", "publish", path)
        assert elsewhere.out.startswith(f"published {name} w1\n")
        assert "{{ company }} looks like a placeholder" in elsewhere.err
    again = world.run("policy", "publish", path)
    assert again.err == ""
    assert "is already published" in again.out
