"""The story of an account says what became of each notice, and why one was not mailed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconsent.store.postgres import Database
from tests.story_world import (
    CONTROLLER,
    EMAIL,
    OFFERS,
    V2,
    World,
    fates,
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


def test_deleted_before_the_mail(world: World) -> None:
    """A notice that a deletion overtook was not mailed, for that reason."""
    world.account("dora", email=None)
    world.collected("dora")
    world.release()
    assert fates(world.json("dora")) == [("v2", "choice", "suppressed", "no_address", None)]
    world.account("dora", status="deleted", updated_at="2026-05-01T00:00:00Z")
    told = world.json("dora")

    assert fates(told) == [("v2", "choice", "suppressed", "deleted", "void")]
    assert line_with(told_of(told), "not mailed", "was deleted").endswith("(rule 15)")


def test_a_larger_question_takes_the_place_of_an_open_one(world: World) -> None:
    """Of two notices the story says which one asks now, and what became of the other."""
    world.account("kit")
    world.collected("kit")
    world.release()
    world.collected("kit", None)
    world.work()
    told = world.json("kit")

    assert fates(told) == [
        ("v2", "choice", "accepted", None, "superseded"),
        ("v2", "choice", "accepted", None, None),
    ]
    text = told_of(told)
    assert line_with(text, "replaced by a later notice").endswith("(rule 13)")
    assert line_with(text, "its question is open").endswith("(rule 12)")


def test_no_notice_yet(world: World) -> None:
    """Where planning has not caught up, the story says so rather than that all is well."""
    world.account("liv")
    world.collected("liv")
    world.tell("policy-versions", V2)
    unplanned = world.json("liv")
    assert unplanned["notices"] == []
    assert line_with(told_of(unplanned), "no notice yet").endswith("(rule 9)")
    world.work()
    assert "no notice" not in told_of(world.json("liv"))


def test_part_of_a_question_was_refused(world: World) -> None:
    """A question broader than a standing no says so, and the no to a part denies the whole."""
    world.account("mia")
    world.collected("mia")
    world.said("mia", "deny", "2026-03-01T00:00:00Z", data_use=f"{OFFERS}.weekly")
    world.release()
    told = world.json("mia")

    [question] = told["asked"]
    assert (question["data_use"], question["recipient"]) == (OFFERS, CONTROLLER)
    assert [use["data_use"] for use in question["refused_before"]] == [f"{OFFERS}.weekly"]
    assert permission(told, OFFERS) == (False, "refused", None, 21)
    assert line_with(told_of(told), "part of it was refused before").endswith("(rule 7)")


def test_bounced(world: World) -> None:
    """A mail that bounced did not ask anybody: the question stays open, unanswered."""
    world.account("nia")
    world.collected("nia")
    world.release()
    [notice] = world.json("nia")["notices"]
    world.tell(
        "mail-events",
        {
            "notice": notice["notice"],
            "event": "bounced",
            "occurred_at": "2026-03-01T00:00:00Z",
            "reason": f"550 {EMAIL} is not known",
        },
    )
    world.work()
    told = world.json("nia")

    assert fates(told) == [("v2", "choice", "bounced", None, None)]
    assert told["address_state"] == "bounced"
    text = told_of(told)
    assert line_with(text, "it bounced", "its question is open").endswith("(rule 15)")
    assert line_with(text, "denied", OFFERS).endswith("(rule 26)")


def test_nobody_answered_in_time(world: World) -> None:
    """Silence is in the ledger as an expiry, and it is what decides."""
    world.account("ole")
    world.collected("ole")
    world.release(respond_by="P30D")
    world.time_passes()
    told = world.json("ole")

    assert fates(told) == [("v2", "choice", "accepted", None, "expired")]
    assert permission(told, OFFERS) == (False, "expired", None, 25)
    text = told_of(told)
    assert line_with(text, "mailed on", "nobody answered").endswith("(rule 16)")
    assert line_with(text, "no answer in time").endswith("(rule 16)")
    assert line_with(text, "denied", OFFERS).endswith("(rule 25)")


def test_information(world: World) -> None:
    """Who is only told of a change, and who did not opt in to be, by rule 10."""
    for account, contact in (("per", "all"), ("pia", "service")):
        world.account(account, contact=contact)
        world.collected(account, "v2")
    world.release(information_mail="opted_in")
    told, left_out = world.json("per"), world.json("pia")

    assert fates(told) == [("v2", "information", "accepted", None, None)]
    assert fates(left_out) == [("v2", "information", "suppressed", "not_opted_in", None)]
    assert line_with(told_of(told), "mailed on").endswith("(rule 12)")
    assert line_with(told_of(left_out), "not mailed").endswith("(rule 10)")
