"""An account's story gives the outcome of each notice, and why one was not mailed."""

from __future__ import annotations

from tests.story_world import (
    CONTROLLER,
    EMAIL,
    OFFERS,
    V2,
    World,
    checked_text,
    fates,
    line_with,
    permission,
)


def test_deleted_before_the_mail(world: World) -> None:
    """A notice that was due when the account was deleted is suppressed as deleted."""
    world.account("dora", email=None)
    world.collected("dora")
    world.release()
    assert fates(world.json("dora")) == [("v2", "choice", "suppressed", "no_address", None)]
    world.account("dora", status="deleted", updated_at="2026-05-01T00:00:00Z")
    found = world.json("dora")

    assert fates(found) == [("v2", "choice", "suppressed", "deleted", "void")]
    assert line_with(checked_text(found), "not mailed", "was deleted").endswith("(rule 15)")


def test_a_larger_question_supersedes_an_open_one(world: World) -> None:
    """Of two notices the story says which one is open, and that it supersedes the other."""
    world.account("kit")
    world.collected("kit")
    world.release()
    world.collected("kit", None)
    world.work()
    found = world.json("kit")

    assert fates(found) == [
        ("v2", "choice", "accepted", None, "superseded"),
        ("v2", "choice", "accepted", None, None),
    ]
    text = checked_text(found)
    assert line_with(text, "replaced by a later notice").endswith("(rule 13)")
    assert line_with(text, "its question is open").endswith("(rule 12)")


def test_no_notice_yet(world: World) -> None:
    """Until the planner has caught up, the story says that there is no notice yet."""
    world.account("liv")
    world.collected("liv")
    world.record("policy-versions", V2)
    unplanned = world.json("liv")
    assert unplanned["notices"] == []
    assert line_with(checked_text(unplanned), "no notice yet").endswith("(rule 9)")
    world.work()
    assert "no notice" not in checked_text(world.json("liv"))


def test_part_of_a_question_was_refused(world: World) -> None:
    """A question broader than an earlier no says so, and the no denies the whole use."""
    world.account("mia")
    world.collected("mia")
    world.chose("mia", "deny", "2026-03-01T00:00:00Z", data_use=f"{OFFERS}.weekly")
    world.release()
    found = world.json("mia")

    [question] = found["asked"]
    assert (question["data_use"], question["recipient"]) == (OFFERS, CONTROLLER)
    assert [use["data_use"] for use in question["refused_before"]] == [f"{OFFERS}.weekly"]
    assert permission(found, OFFERS) == (False, "refused", None, 21)
    assert line_with(checked_text(found), "part of it was refused before").endswith("(rule 7)")


def test_bounced(world: World) -> None:
    """If the mail bounced, the question stays open."""
    world.account("nia")
    world.collected("nia")
    world.release()
    [notice] = world.json("nia")["notices"]
    world.record(
        "mail-events",
        {
            "notice": notice["notice"],
            "event": "bounced",
            "occurred_at": "2026-03-01T00:00:00Z",
            "reason": f"550 {EMAIL} is not known",
        },
    )
    world.work()
    found = world.json("nia")

    assert fates(found) == [("v2", "choice", "bounced", None, None)]
    assert found["address_state"] == "bounced"
    text = checked_text(found)
    assert line_with(text, "it bounced", "its question is open").endswith("(rule 15)")
    assert line_with(text, "denied", OFFERS).endswith("(rule 26)")


def test_expired(world: World) -> None:
    """A question without an answer expires; the expiry is in the ledger and decides."""
    world.account("ole")
    world.collected("ole")
    world.release(respond_by="P30D")
    world.time_passes()
    found = world.json("ole")

    assert fates(found) == [("v2", "choice", "accepted", None, "expired")]
    assert permission(found, OFFERS) == (False, "expired", None, 25)
    text = checked_text(found)
    assert line_with(text, "mailed on", "nobody answered").endswith("(rule 16)")
    assert line_with(text, "no answer in time").endswith("(rule 16)")
    assert line_with(text, "denied", OFFERS).endswith("(rule 25)")


def test_information(world: World) -> None:
    """Information is mailed only to accounts that opted in, by rule 10."""
    for account, contact in (("per", "all"), ("pia", "service")):
        world.account(account, contact=contact)
        world.collected(account, "v2")
    world.release(information_mail="opted_in")
    found, left_out = world.json("per"), world.json("pia")

    assert fates(found) == [("v2", "information", "accepted", None, None)]
    assert fates(left_out) == [("v2", "information", "suppressed", "not_opted_in", None)]
    assert line_with(checked_text(found), "mailed on").endswith("(rule 12)")
    assert line_with(checked_text(left_out), "not mailed").endswith("(rule 10)")
