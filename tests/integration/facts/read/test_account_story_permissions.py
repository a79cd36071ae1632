"""An account's story lists the permitted uses of its data, and what decided each."""

from __future__ import annotations

from tests.story_world import (
    AFTER,
    BEFORE,
    CONTROLLER,
    OFFERS,
    World,
    checked_text,
    line_with,
    permission,
)


def test_yes_before_and_after_the_version_is_in_force(world: World) -> None:
    """A yes counts once a version that declares the use is in force."""
    world.account("cleo")
    world.collected("cleo")
    world.release()
    world.chose("cleo", "allow", "2026-03-01T00:00:00Z", recipient=CONTROLLER)

    before, after = world.json("cleo", BEFORE), world.json("cleo", AFTER)
    assert permission(before, OFFERS) == (False, "not_effective_yet", None, 24)
    assert permission(after, OFFERS) == (True, "consented", None, 24)
    early = line_with(checked_text(before), "denied", OFFERS)
    assert early.endswith("said yes, and v2 is in force from 2030-01-01 (rule 24)")
    assert line_with(checked_text(after), "allowed", OFFERS).endswith("said yes (rule 24)")


def test_a_no_that_names_no_data(world: World) -> None:
    """An undeclared use is listed if a current decision is about it."""
    world.account("hal")
    world.collected("hal", "v2")
    world.release()
    world.chose("hal", "deny", "2026-03-01T00:00:00Z", data_use="marketing")
    found = world.json("hal")

    assert permission(found, "marketing") == (False, "refused", None, 21)
    assert permission(found, OFFERS) == (False, "refused", None, 21)
    assert permission(found, "essential.service") == (True, "declared", None, 22)
    assert found["notices"] == []
    text = checked_text(found)
    decision = line_with(text, "marketing by anyone", "any data under any version")
    assert decision.endswith("no (rule 17)")
    assert line_with(text, "no notice").endswith("(rule 10)")


def test_data_broader_than_what_is_declared(world: World) -> None:
    """For data broader than a declaration, the story lists the declared part."""
    world.account("siv")
    world.collected("siv", data_category="user.contact")
    world.release()
    found = world.json("siv")

    assert {use["data_category"] for use in found["permissions"]} == {"user.contact.email"}
    assert [row["data_category"] for row in found["holds"]] == ["user.contact"]
    assert line_with(checked_text(found), "denied", OFFERS).endswith("(rule 26)")


def test_the_story_agrees_with_permission_checks(world: World) -> None:
    """The story and permission checks agree, now and once the version is in force."""
    for account, contact in (("lea", "all"), ("max", "none"), ("ned", "service")):
        world.account(account, contact=contact)
        for under in ("v1", "v2", None, "v9"):
            world.collected(account, under)
    world.release()
    world.chose("lea", "allow", "2026-03-01T00:00:00Z", collected_under="v1")
    world.chose("ned", "deny", "2026-03-01T00:00:00Z", data_category="user.contact")
    seen: set[str] = set()
    for account in ("lea", "max", "ned"):
        for at in (BEFORE, AFTER):
            found = world.json(account, at)
            checked_text(found)
            fields = ("allowed", "reason", "suppression", "rule")
            listed = [tuple(use[field] for field in fields) for use in found["permissions"]]
            assert listed == world.permits(found, at)
            seen.update(reason for _, reason, *_ in listed)
    assert seen == {
        "declared", "consented", "not_effective_yet", "pending", "refused", "suppressed",
        "unknown_version",
    }  # fmt: skip
