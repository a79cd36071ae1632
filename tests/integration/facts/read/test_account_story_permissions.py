"""The story of an account says what its data may be used for, and what decided that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconsent.store.postgres import Database
from tests.story_world import (
    AFTER,
    BEFORE,
    CONTROLLER,
    OFFERS,
    World,
    line_with,
    permission,
    small_world,
    told_of,
)


@pytest.fixture
def world(conninfo: str, database: Database, tmp_path: Path) -> Iterator[World]:
    """Give a world in which v1 is published."""
    with small_world(conninfo, database, tmp_path / "mail") as made:
        yield made


def test_yes_before_and_after_the_version_is_in_force(world: World) -> None:
    """A yes counts from the day on which a version that declares the use is in force."""
    world.account("cleo")
    world.collected("cleo")
    world.release()
    world.said("cleo", "allow", "2026-03-01T00:00:00Z", recipient=CONTROLLER)

    before, after = world.json("cleo", BEFORE), world.json("cleo", AFTER)
    assert permission(before, OFFERS) == (False, "not_effective_yet", None, 24)
    assert permission(after, OFFERS) == (True, "consented", None, 24)
    early = line_with(told_of(before), "denied", OFFERS)
    assert early.endswith("said yes, and v2 is in force from 2030-01-01 (rule 24)")
    assert line_with(told_of(after), "allowed", OFFERS).endswith("said yes (rule 24)")


def test_a_no_that_names_no_data(world: World) -> None:
    """A use that nobody declares is in the story where a decision that stands is about it."""
    world.account("hal")
    world.collected("hal", "v2")
    world.release()
    world.said("hal", "deny", "2026-03-01T00:00:00Z", data_use="marketing")
    told = world.json("hal")

    assert permission(told, "marketing") == (False, "refused", None, 21)
    assert permission(told, OFFERS) == (False, "refused", None, 21)
    assert permission(told, "essential.service") == (True, "declared", None, 22)
    assert told["notices"] == []
    text = told_of(told)
    said = line_with(text, "marketing by anyone", "any data under any version")
    assert said.endswith("no (rule 17)")
    assert line_with(text, "no notice").endswith("(rule 10)")


def test_data_broader_than_what_is_declared(world: World) -> None:
    """Of data broader than a declaration, the story answers for the part that is declared."""
    world.account("siv")
    world.collected("siv", data_category="user.contact")
    world.release()
    told = world.json("siv")

    assert {use["data_category"] for use in told["permissions"]} == {"user.contact.email"}
    assert [row["data_category"] for row in told["holds"]] == ["user.contact"]
    assert line_with(told_of(told), "denied", OFFERS).endswith("(rule 26)")


def test_says_what_permission_checks_answer(world: World) -> None:
    """The story and the permission checks never differ, now or once the version is in force."""
    for account, contact in (("lea", "all"), ("max", "none"), ("ned", "service")):
        world.account(account, contact=contact)
        for under in ("v1", "v2", None, "v9"):
            world.collected(account, under)
    world.release()
    world.said("lea", "allow", "2026-03-01T00:00:00Z", collected_under="v1")
    world.said("ned", "deny", "2026-03-01T00:00:00Z", data_category="user.contact")
    seen: set[str] = set()
    for account in ("lea", "max", "ned"):
        for at in (BEFORE, AFTER):
            told = world.json(account, at)
            told_of(told)
            fields = ("allowed", "reason", "suppression", "rule")
            said = [tuple(use[field] for field in fields) for use in told["permissions"]]
            assert said == world.permits(told, at)
            seen.update(reason for _, reason, *_ in said)
    assert seen == {
        "declared", "consented", "not_effective_yet", "pending", "refused", "suppressed",
        "unknown_version",
    }  # fmt: skip
