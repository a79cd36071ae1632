"""The story of an account says what holds, what decided it, and nothing of who the person is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from reconsent.cli.explain_report import story
from reconsent.facts.read.account_story import account_json
from reconsent.facts.record.accounts import lock_accounts
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Database, connect
from tests.story_world import (
    CONTROLLER,
    OFFERS,
    PROPERTY,
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


def test_no_such_account(world: World) -> None:
    """Of an account that nobody spoke of there is no story."""
    with world.database.connection() as connection:
        policies = PublishedVersions().now(connection)
        assert account_json(connection, Cohorts(), policies, PROPERTY, "nobody") is None


def test_pending(world: World) -> None:
    """Who was asked and has not answered: what was asked, that it was mailed, and the no."""
    world.account("ann", locale="nb-NO")
    world.collected("ann")
    world.collected("ann", collected_at="2025-06-07T08:09:10Z")
    world.release()
    told = world.json("ann")

    assert (told["property"], told["account"], told["policy"]) == (PROPERTY, "ann", "campaigner")
    assert (told["status"], told["contact"], told["minor"], told["stub"]) == (
        "active", "all", False, False,
    )  # fmt: skip
    assert (told["locale"], told["deleted_at"]) == ("nb-NO", None)
    assert told["updated_at"] == "2024-01-01T00:00:00Z"
    assert told["holds"] == [
        {
            "data_category": "user.contact.email",
            "collected_under": "v1",
            "published": True,
            "first_collected_at": "2024-01-02T03:04:05Z",
            "last_collected_on": "2025-06-07",
            "source": "person",
        }
    ]
    new_use = {
        "data_category": "user.contact.email",
        "collected_under": "v1",
        "data_use": OFFERS,
        "recipient": CONTROLLER,
    }
    assert [question["new_uses"] for question in told["asked"]] == [[new_use]]
    assert fates(told) == [("v2", "choice", "accepted", None, None)]
    assert told["notices"][0]["asks"] == [new_use]
    assert told["notices"][0]["accepted_at"] is not None
    assert told["consents"] == []
    assert permission(told, OFFERS) == (False, "pending", None, 26)
    assert permission(told, "essential.service") == (True, "declared", None, 22)
    # Of the data's own version alone: a use that the latest version dropped stays allowed.
    assert permission(told, "analytics") == (True, "declared", None, 22)

    text = told_of(told)
    assert line_with(text, "denied", OFFERS).endswith("(rule 26)")
    assert line_with(text, "allowed", "essential.service").endswith("v1 declares it (rule 22)")
    assert line_with(text, "mailed on", "its question is open").endswith("(rule 12)")
    assert line_with(text, "since 2024-01-02", "last on 2025-06-07").endswith("(rule 4)")


def test_opted_out(world: World) -> None:
    """Who wants no communication gets no mail, is told why, and what was declared stays."""
    world.account("bo", contact="none")
    world.collected("bo")
    world.release()
    told = world.json("bo")

    assert fates(told) == [("v2", "choice", "suppressed", "all_comms_opt_out", None)]
    assert permission(told, OFFERS) == (False, "suppressed", "all_comms_opt_out", 23)
    assert permission(told, "essential.service") == (True, "declared", None, 22)
    text = told_of(told)
    assert line_with(text, "not mailed", "no communication").endswith("(rule 9)")
    assert line_with(text, "denied", OFFERS).endswith("(rule 23)")
    assert line_with(text, "contact", "none:").endswith("(rule 23)")


def test_withdrawn(world: World) -> None:
    """Who took back a yes: both are in the ledger, and the no decides."""
    world.account("cy")
    world.collected("cy")
    world.release()
    named = {"data_category": "user.contact.email", "collected_under": "v1"}
    world.said("cy", "allow", "2026-03-01T00:00:00Z", **named)
    world.said("cy", "deny", "2026-04-01T00:00:00Z", **named)
    world.work()
    told = world.json("cy")

    assert [c["event_state"] for c in told["consents"]] == ["ConsentGiven", "ConsentWithdrawn"]
    assert told["asked"] == []
    assert fates(told) == [("v2", "choice", "accepted", None, "answered")]
    assert permission(told, OFFERS) == (False, "withdrawn", None, 21)
    [decided] = [use["decision"] for use in told["permissions"] if use["decision"]]
    assert decided["event_state"] == "ConsentWithdrawn"
    text = told_of(told)
    assert line_with(text, "denied", OFFERS).endswith("took back a yes (rule 21)")
    assert "  2026-03-01 00:00 UTC, channel phone:" in text
    assert line_with(text, "yes (rule 17)").split()[0] == OFFERS
    assert line_with(text, "which takes back a yes").endswith("(rule 18)")
    assert line_with(text, "answered").endswith("(rule 12)")


def test_deleted_after_the_mail(world: World) -> None:
    """Of a deleted account nothing is held or allowed; its ledger stays and stands no longer."""
    world.account("di")
    world.collected("di")
    world.release()
    world.said("di", "allow", "2026-03-01T00:00:00Z")
    world.account("di", status="deleted", updated_at="2026-05-01T00:00:00Z")
    world.collected("di", collected_at="2026-06-01T00:00:00Z")
    world.work()
    told = world.json("di")

    assert (told["status"], told["deleted_at"]) == ("deleted", "2026-05-01T00:00:00Z")
    assert [was["status"] for was in told["history"]] == ["active", "deleted"]
    assert (told["holds"], told["asked"], told["permissions"]) == ([], [], [])
    assert [c["event_state"] for c in told["consents"]] == ["ConsentInvalidated"]
    assert fates(told) == [("v2", "choice", "accepted", None, "void")]
    text = told_of(told)
    assert line_with(text, "deleted on 2026-05-01").endswith("(rule 28)")
    assert line_with(text, "mailed on", "the deletion closed it").endswith("(rule 15)")
    assert line_with(text, "said before the deletion").endswith("(rule 18)")
    assert line_with(text, "nothing: the account was deleted").endswith("(rule 20)")


def test_stub(world: World) -> None:
    """An account known from its data alone says so, and is not held to have an address."""
    world.collected("eve")
    world.release()
    told = world.json("eve")

    assert (told["stub"], told["updated_at"], told["history"]) == (True, None, [])
    assert fates(told) == [("v2", "choice", "suppressed", "no_address", None)]
    assert permission(told, OFFERS) == (False, "pending", None, 26)
    text = told_of(told)
    assert line_with(text, "no account event yet").endswith("(rule 27)")
    assert line_with(text, "not mailed", "no address").endswith("(rule 9)")


def test_minor(world: World) -> None:
    """A minor gets no mail, and not even what was declared is allowed."""
    world.account("fay", minor=True)
    world.collected("fay")
    world.release()
    told = world.json("fay")

    assert (told["minor"], told["address_state"]) == (True, "none")
    assert fates(told) == [("v2", "choice", "suppressed", "minor", None)]
    assert {use["rule"] for use in told["permissions"]} == {20}
    assert permission(told, "essential.service") == (False, "suppressed", "minor", 20)
    text = told_of(told)
    assert line_with(text, "denied", "essential.service").endswith("a minor (rule 20)")
    assert line_with(text, "not mailed").endswith("a minor (rule 9)")


def test_versions_that_are_unknown_or_not_published(world: World) -> None:
    """Data of an unknown version is asked about; data of one not published takes no part."""
    world.account("gil")
    world.collected("gil", None)
    world.collected("gil", "v9", source="third_party")
    world.release()
    told = world.json("gil")

    assert {row["collected_under"]: row["published"] for row in told["holds"]} == {
        None: None,
        "v9": False,
    }
    assert {new["collected_under"] for q in told["asked"] for new in q["new_uses"]} == {None}
    assert {
        (use["collected_under"], use["reason"], use["rule"]) for use in told["permissions"]
    } == {(None, "pending", 26), ("v9", "unknown_version", 20)}
    text = told_of(told)
    assert "version v9 is not published here (rule 20)" in text
    assert "from a third party; the version is not published here (rule 4)" in text
    assert "every use is new (rule 4)" in text


def test_erased(world: World) -> None:
    """Data that was erased is not held, and the story says when it went."""
    world.account("ida")
    world.collected("ida")
    world.collected("ida", erased=True, collected_at="2025-01-01T00:00:00Z")
    told = world.json("ida")

    assert told["holds"] == []
    assert told["erased"] == [
        {
            "data_category": "user.contact.email",
            "collected_under": "v1",
            "erased_at": "2025-01-01T00:00:00Z",
        }
    ]
    assert line_with(told_of(told), "erased on 2025-01-01").endswith("(rule 27)")


def test_property_that_no_policy_lists(world: World) -> None:
    """Where no policy governs a property, nothing was asked and what was decided is denied."""
    world.account("jo", property="elsewhere.example")
    world.collected("jo", property="elsewhere.example")
    world.said("jo", "deny", "2026-03-01T00:00:00Z", property="elsewhere.example")
    told = world.json("jo", site="elsewhere.example")

    assert (told["policy"], told["latest_version"], told["asked"]) == (None, None, [])
    assert {(use["reason"], use["rule"]) for use in told["permissions"]} == {("undeclared", 20)}
    assert line_with(told_of(told), "none lists elsewhere.example").endswith("(rule 20)")


def test_registered_again(world: World) -> None:
    """An account that came back after a deletion holds nothing and decided nothing from before."""
    world.account("roy")
    world.collected("roy")
    world.said("roy", "allow", "2025-03-01T00:00:00Z")
    world.account("roy", status="deleted", updated_at="2025-05-01T00:00:00Z")
    world.account("roy", updated_at="2025-06-01T00:00:00Z")
    world.release()
    told = world.json("roy")

    assert (told["status"], told["deleted_at"]) == ("active", "2025-05-01T00:00:00Z")
    assert (told["holds"], told["notices"], told["permissions"]) == ([], [], [])
    assert [c["event_state"] for c in told["consents"]] == ["ConsentInvalidated"]
    assert line_with(told_of(told), "registered again since").endswith("(rule 28)")


def test_nothing_changes_while_the_story_is_told(world: World, conninfo: str) -> None:
    """An account stays as it is until the transaction that tells its story ends."""
    world.account("oda")
    with world.database.connection() as connection, connect(conninfo) as other:
        policies = PublishedVersions().now(connection)
        account_json(connection, Cohorts(), policies, PROPERTY, "oda")
        other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            lock_accounts(other, [(PROPERTY, "oda")])


def test_no_name_steers_the_terminal(world: World) -> None:
    """What others wrote cannot turn the text around or add lines to it."""
    world.account("pat\u202e\u2028(rule 1)")
    lines = story(world.json("pat\u202e\u2028(rule 1)"))
    assert lines[0] == f"pat\ufffd\ufffd(rule 1) at {PROPERTY}"
