"""An account's story gives its state and the rule behind it, and nothing personal."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from reconsent.cli.explain_report import story
from reconsent.facts.read.account_story import account_json
from reconsent.facts.record.accounts import lock_accounts
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import connect
from tests.story_world import (
    CONTROLLER,
    OFFERS,
    PROPERTY,
    World,
    checked_text,
    fates,
    line_with,
    permission,
)


def test_no_such_account(world: World) -> None:
    """An unknown account has no story."""
    with world.database.connection() as connection:
        policies = PublishedVersions().now(connection)
        assert account_json(connection, Cohorts(), policies, PROPERTY, "nobody") is None


def _asked(world: World) -> dict[str, Any]:
    """Ask somebody by mail; return the account's story."""
    world.account("ann", locale="nb-NO")
    world.collected("ann")
    world.collected("ann", collected_at="2025-06-07T08:09:10Z")
    world.release()
    return world.json("ann")


def test_who_is_asked(world: World) -> None:
    """The account, and what is held of it."""
    found = _asked(world)
    assert (found["property"], found["account"], found["policy"]) == (PROPERTY, "ann", "campaigner")
    assert (found["status"], found["contact"], found["minor"], found["stub"]) == (
        "active", "all", False, False,
    )  # fmt: skip
    assert (found["locale"], found["deleted_at"]) == ("nb-NO", None)
    assert found["updated_at"] == "2024-01-01T00:00:00Z"
    assert found["holds"] == [
        {
            "data_category": "user.contact.email",
            "collected_under": "v1",
            "published": True,
            "first_collected_at": "2024-01-02T03:04:05Z",
            "last_collected_on": "2025-06-07",
            "source": "person",
        }
    ]


def test_pending(world: World) -> None:
    """An open question: what was asked, that it was mailed, and that the use is denied."""
    found = _asked(world)
    new_use = {
        "data_category": "user.contact.email",
        "collected_under": "v1",
        "data_use": OFFERS,
        "recipient": CONTROLLER,
    }
    assert [question["new_uses"] for question in found["asked"]] == [[new_use]]
    assert fates(found) == [("v2", "choice", "accepted", None, None)]
    assert found["notices"][0]["asks"] == [new_use]
    assert found["notices"][0]["accepted_at"] is not None
    assert found["consents"] == []
    assert permission(found, OFFERS) == (False, "pending", None, 26)
    assert permission(found, "essential.service") == (True, "declared", None, 22)
    # Only the version of the data counts: a use that the latest one dropped stays allowed.
    assert permission(found, "analytics") == (True, "declared", None, 22)

    text = checked_text(found)
    assert line_with(text, "denied", OFFERS).endswith("(rule 26)")
    assert line_with(text, "allowed", "essential.service").endswith("v1 declares it (rule 22)")
    assert line_with(text, "mailed on", "its question is open").endswith("(rule 12)")
    assert line_with(text, "since 2024-01-02", "last on 2025-06-07").endswith("(rule 4)")


def test_opted_out(world: World) -> None:
    """An account with contact none: no mail, the reason, and declared uses stay allowed."""
    world.account("bo", contact="none")
    world.collected("bo")
    world.release()
    found = world.json("bo")

    assert fates(found) == [("v2", "choice", "suppressed", "all_comms_opt_out", None)]
    assert permission(found, OFFERS) == (False, "suppressed", "all_comms_opt_out", 23)
    assert permission(found, "essential.service") == (True, "declared", None, 22)
    text = checked_text(found)
    assert line_with(text, "not mailed", "no communication").endswith("(rule 9)")
    assert line_with(text, "denied", OFFERS).endswith("(rule 23)")
    assert line_with(text, "contact", "none:").endswith("(rule 23)")


def test_withdrawn(world: World) -> None:
    """After a withdrawal both decisions are in the ledger, and the no decides."""
    world.account("cy")
    world.collected("cy")
    world.release()
    named = {"data_category": "user.contact.email", "collected_under": "v1"}
    world.chose("cy", "allow", "2026-03-01T00:00:00Z", **named)
    world.chose("cy", "deny", "2026-04-01T00:00:00Z", **named)
    world.work()
    found = world.json("cy")

    assert [c["event_state"] for c in found["consents"]] == ["ConsentGiven", "ConsentWithdrawn"]
    assert found["asked"] == []
    assert fates(found) == [("v2", "choice", "accepted", None, "answered")]
    assert permission(found, OFFERS) == (False, "withdrawn", None, 21)
    [decided] = [use["decision"] for use in found["permissions"] if use["decision"]]
    assert decided["event_state"] == "ConsentWithdrawn"
    text = checked_text(found)
    assert line_with(text, "denied", OFFERS).endswith("took back a yes (rule 21)")
    assert "  2026-03-01 00:00 UTC+00:00, channel phone:" in text
    assert line_with(text, "yes (rule 17)").split()[0] == OFFERS
    assert line_with(text, "which takes back a yes").endswith("(rule 18)")
    assert line_with(text, "answered").endswith("(rule 12)")


def test_deleted_after_the_mail(world: World) -> None:
    """A deleted account holds nothing, and nothing is allowed; its ledger is invalidated."""
    world.account("di")
    world.collected("di")
    world.release()
    world.chose("di", "allow", "2026-03-01T00:00:00Z")
    world.account("di", status="deleted", updated_at="2026-05-01T00:00:00Z")
    world.collected("di", collected_at="2026-06-01T00:00:00Z")
    world.work()
    found = world.json("di")

    assert (found["status"], found["deleted_at"]) == ("deleted", "2026-05-01T00:00:00Z")
    assert [was["status"] for was in found["history"]] == ["active", "deleted"]
    assert (found["holds"], found["asked"], found["permissions"]) == ([], [], [])
    assert [c["event_state"] for c in found["consents"]] == ["ConsentInvalidated"]
    assert fates(found) == [("v2", "choice", "accepted", None, "void")]
    text = checked_text(found)
    assert line_with(text, "deleted on 2026-05-01").endswith("(rule 28)")
    assert line_with(text, "mailed on", "the deletion closed it").endswith("(rule 15)")
    assert line_with(text, "said before the deletion").endswith("(rule 18)")
    assert line_with(text, "nothing: the account was deleted").endswith("(rule 20)")


def test_stub(world: World) -> None:
    """The story of an account known only from its data says so; it has no address."""
    world.collected("eve")
    world.release()
    found = world.json("eve")

    assert (found["stub"], found["updated_at"], found["history"]) == (True, None, [])
    assert fates(found) == [("v2", "choice", "suppressed", "no_address", None)]
    assert permission(found, OFFERS) == (False, "pending", None, 26)
    text = checked_text(found)
    assert line_with(text, "no account event yet").endswith("(rule 27)")
    assert line_with(text, "not mailed", "no address").endswith("(rule 9)")


def test_minor(world: World) -> None:
    """A minor gets no mail, and not even declared uses are allowed."""
    world.account("fay", minor=True)
    world.collected("fay")
    world.release()
    found = world.json("fay")

    assert (found["minor"], found["address_state"]) == (True, "none")
    assert fates(found) == [("v2", "choice", "suppressed", "minor", None)]
    assert {use["rule"] for use in found["permissions"]} == {20}
    assert permission(found, "essential.service") == (False, "suppressed", "minor", 20)
    text = checked_text(found)
    assert line_with(text, "denied", "essential.service").endswith("a minor (rule 20)")
    assert line_with(text, "not mailed").endswith("a minor (rule 9)")


def test_versions_that_are_unknown_or_not_published(world: World) -> None:
    """Data of an unknown version is asked about, data of an unpublished one is not."""
    world.account("gil")
    world.collected("gil", None)
    world.collected("gil", "v9", source="third_party")
    world.release()
    found = world.json("gil")

    assert {row["collected_under"]: row["published"] for row in found["holds"]} == {
        None: None,
        "v9": False,
    }
    assert {new["collected_under"] for q in found["asked"] for new in q["new_uses"]} == {None}
    assert {
        (use["collected_under"], use["reason"], use["rule"]) for use in found["permissions"]
    } == {(None, "pending", 26), ("v9", "unknown_version", 20)}
    text = checked_text(found)
    assert "version v9 is not published here (rule 20)" in text
    assert "from a third party; the version is not published here (rule 4)" in text
    assert "every use is new (rule 4)" in text


def test_erased(world: World) -> None:
    """Erased data is not held; the story says when it was erased."""
    world.account("ida")
    world.collected("ida")
    world.collected("ida", erased=True, collected_at="2025-01-01T00:00:00Z")
    found = world.json("ida")

    assert found["holds"] == []
    assert found["erased"] == [
        {
            "data_category": "user.contact.email",
            "collected_under": "v1",
            "erased_at": "2025-01-01T00:00:00Z",
        }
    ]
    assert line_with(checked_text(found), "erased on 2025-01-01").endswith("(rule 27)")


def test_property_that_no_policy_lists(world: World) -> None:
    """If no policy governs the property, nothing is asked and every decided use is denied."""
    world.account("jo", property="elsewhere.example")
    world.collected("jo", property="elsewhere.example")
    world.chose("jo", "deny", "2026-03-01T00:00:00Z", property="elsewhere.example")
    found = world.json("jo", site="elsewhere.example")

    assert (found["policy"], found["latest_version"], found["asked"]) == (None, None, [])
    assert {(use["reason"], use["rule"]) for use in found["permissions"]} == {("undeclared", 20)}
    assert line_with(checked_text(found), "none lists elsewhere.example").endswith("(rule 20)")


def test_data_that_no_version_declares(world: World) -> None:
    """A kind of data that is perhaps misspelt is named among those that may be used for nothing."""
    world.account("mo")
    world.collected("mo")
    world.collected("mo", data_category="user.contct.email")
    text = checked_text(world.json("mo"))
    _, _, used = text.partition("What its data may be used for")
    assert "  user.contct.email under v1:\n    nothing: no version declares it (rule 4)" in used
    assert used.count("nothing:") == 1


def test_registered_again(world: World) -> None:
    """An account registered again after a deletion has no holdings or decisions from before."""
    world.account("roy")
    world.collected("roy")
    world.chose("roy", "allow", "2025-03-01T00:00:00Z")
    world.account("roy", status="deleted", updated_at="2025-05-01T00:00:00Z")
    world.account("roy", updated_at="2025-06-01T00:00:00Z")
    world.release()
    found = world.json("roy")

    assert (found["status"], found["deleted_at"]) == ("active", "2025-05-01T00:00:00Z")
    assert (found["holds"], found["notices"], found["permissions"]) == ([], [], [])
    assert [c["event_state"] for c in found["consents"]] == ["ConsentInvalidated"]
    assert line_with(checked_text(found), "registered again since").endswith("(rule 28)")


def test_the_account_is_locked_while_its_story_is_read(world: World, conninfo: str) -> None:
    """The account cannot change before the transaction that reads its story ends."""
    world.account("oda")
    with world.database.connection() as connection, connect(conninfo) as other:
        policies = PublishedVersions().now(connection)
        account_json(connection, Cohorts(), policies, PROPERTY, "oda")
        other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            lock_accounts(other, [(PROPERTY, "oda")])


def test_a_name_cannot_control_the_terminal(world: World) -> None:
    """Control characters in a name cannot reverse the text or add lines."""
    world.account("pat\u202e\u2028(rule 1)")
    lines = story(world.json("pat\u202e\u2028(rule 1)"), None)
    assert lines[0] == f"pat\ufffd\ufffd(rule 1) at {PROPERTY}"
