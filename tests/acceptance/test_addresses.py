"""Addresses that get no mail: lists of other systems, and what operators say, from outside."""

from __future__ import annotations

import json
from typing import Final

import pytest

from tests.acceptance.outside import Ended, Json, World
from tests.acceptance.people import VERSIONS, account, collection
from tests.acceptance.versions import V1

_PEOPLE = ("ann", "bea", "cal", "dot", "eve")


@pytest.fixture(scope="module")
def suppressed(world: World) -> World:
    """A shop that knows its people, and what became of earlier mail to them."""
    world.take("emit", "policy-versions", [V1])
    world.take("emit", "accounts", [account(name) for name in _PEOPLE])
    world.take("emit", "collections", [collection(name) for name in _PEOPLE])
    world.work()
    rows = [
        _row("ann", "bounced"),
        _row("BEA", "complained"),
        _row("cal", "unsubscribed"),
        _row("nobody", "bounced"),
        _row("not an address", "bounced"),
    ]
    done = world.run("import", "suppressions", world.lines(rows), "--json")
    assert done.json == {"read": 5, "new": 4, "unchanged": 0, "refused": 1}
    assert "events.ndjson:5: email: " in done.complaint
    assert "not an address" not in done.complaint
    return world


def _row(name: str, reason: str) -> Json:
    email = f"{name}@people.test"
    return {"email": email, "reason": reason, "occurred_at": "2025-01-01T10:00:00Z"}


def _states(world: World, version_: str) -> dict[str, tuple[str, str | None]]:
    rows = world.run("notices", "--policy-version", version_, "--json").ndjson
    return {row["account"]: (row["state"], row["suppression"]) for row in rows}


def test_a_suppressed_address_gets_no_mail(suppressed: World) -> None:
    """Unsubscribed is no mark: a question still comes. The same list again changes nothing."""
    rows = [_row("ann", "bounced"), _row("dot", "bounced"), _row("dot", "bounced")]
    again = suppressed.run("import", "suppressions", suppressed.lines(rows))
    assert again.out == "3 read: 1 new, 2 unchanged, 0 refused\n"
    suppressed.take("emit", "policy-versions", VERSIONS[1:])
    suppressed.work()
    assert _states(suppressed, "v3") == {
        "ann": ("suppressed", "bounced"),
        "bea": ("suppressed", "bounced"),
        "cal": ("accepted", None),
        "dot": ("suppressed", "bounced"),
        "eve": ("accepted", None),
    }


_GIVEN: Final = "ann@people.test\n\nEVE@people.test\n"


def _assert_no_address(*ended: Ended) -> None:
    for one in ended:
        assert "people" not in (one.out + one.err).casefold()


def test_operators_list_marks(suppressed: World) -> None:
    """They are counted; those of given addresses are told by their position."""
    assert suppressed.run("addresses", "list", "--json").json == {"bounced": 3, "complained": 1}
    listed = suppressed.run("addresses", "list", "-", stdin=_GIVEN)
    ann, eve = listed.ndjson
    assert (ann["position"], ann["orders"], eve) == (
        1,
        [],
        {"position": 2, "marks": [], "orders": []},
    )
    [mark] = ann["marks"]
    assert (mark["mark"], mark["marked_at"], mark["by"]) == (
        "bounced",
        "2025-01-01T10:00:00Z",
        "report",
    )
    _assert_no_address(listed)


def test_operators_mark_and_lift(suppressed: World) -> None:
    """Addresses are given, and never printed; the reason is kept."""
    marked = suppressed.run(
        "addresses",
        "mark",
        "-",
        "--as",
        "complained",
        "--reason",
        "wrote to us",
        "--json",
        stdin=_GIVEN,
    )
    assert marked.json == {"addresses": 2, "marked": 2}
    lifted = suppressed.run(
        "addresses", "lift", "ann@people.test", "ann@PEOPLE.test", "--reason", "our fault", "--json"
    )
    assert lifted.json == {"addresses": 1, "lifted": {"bounced": 1, "complained": 1}}
    one = suppressed.run("addresses", "lift", "eve@people.test", "--as", "bounced", "--reason", "x")
    assert one.out == "marks lifted: 0 bounced, of 1 address\n"
    after = suppressed.run("addresses", "list", "-", stdin=_GIVEN)
    ann, eve = after.ndjson
    assert [(one["mark"], one["lifted_by"]) for one in ann["marks"]] == [
        ("bounced", "operator"),
        ("complained", "operator"),
    ]
    assert [(one["order"], one["mark"], one["reason"]) for one in ann["orders"]] == [
        ("mark", "complained", "wrote to us"),
        ("lift", "bounced", "our fault"),
        ("lift", "complained", "our fault"),
    ]
    assert all(one["by"] and one["at"] for one in ann["orders"])
    assert [(one["mark"], one["by"], one["lifted_by"]) for one in eve["marks"]] == [
        ("complained", "operator", None)
    ]
    _assert_no_address(marked, lifted, one, after)


def test_many_addresses_are_marked_and_lifted(suppressed: World) -> None:
    """More than are locked together; an address that is given twice counts once."""
    given = "".join(f"many{number % 1100}@people.test\n" for number in range(1200))
    because = ("--reason", "a list of the postmaster", "--json")
    for marked in (1100, 0):
        done = suppressed.run("addresses", "mark", "-", "--as", "bounced", *because, stdin=given)
        assert done.json == {"addresses": 1100, "marked": marked}
    listed = suppressed.run("addresses", "list", "-", stdin=given).ndjson
    assert [row["position"] for row in listed] == list(range(1, 1201))
    assert {(len(row["marks"]), row["marks"][0]["by"]) for row in listed} == {(1, "operator")}
    for lifted in (1100, 0):
        done = suppressed.run("addresses", "lift", "-", *because, stdin=given)
        assert done.json == {"addresses": 1100, "lifted": {"bounced": lifted, "complained": 0}}


def test_mistakes_are_told(suppressed: World) -> None:
    """In one line, without the address, and nothing changes."""
    before = suppressed.run("addresses", "list", "--json").json
    for arguments in (
        ["mark", "ann@people.test", "--reason", "x"],
        ["mark", "--as", "bounced", "--reason", "x"],
        ["mark", "ann@people.test", "--as", "bounced", "--reason", " "],
        ["lift", "ann@people.test"],
        ["lift", "--reason", "x"],
    ):
        refused = suppressed.run("addresses", *arguments, code=2)
        assert "people" not in refused.complaint
    refused = suppressed.run("addresses", "list", "eve@people.test", "nobody", code=2)
    assert refused.complaint.startswith("reconsent: address 2: the address ")
    for command in (
        ["list"], ["mark", "--as", "bounced", "--reason", "x"], ["lift", "--reason", "x"],
    ):  # fmt: skip
        empty = suppressed.run("addresses", *command, "-", stdin="\n", code=2)
        assert empty.complaint == "reconsent: standard input: has no addresses"
    assert suppressed.run("addresses", "list", "--json").json == before
    assert suppressed.run("import", "accounts", "-", "--as", "bounced", code=2).complaint
    bad = suppressed.file("list.csv", "email,reason,occurred_at\na@b.no,bounced,2025\n")
    assert (
        f"{bad}:2: occurred_at: " in suppressed.run("import", "suppressions", bad, code=2).complaint
    )


def test_a_providers_list_may_come_through_a_pipe(suppressed: World) -> None:
    """It is recognised by what it has."""
    summary = {"EmailAddress": "x@people.test", "Reason": "COMPLAINT", "LastUpdateTime": 1709287200}
    piped = json.dumps({"SuppressedDestinationSummaries": [summary]})
    done = suppressed.run("import", "suppressions", "-", "--json", stdin=piped)
    assert done.json == {"read": 1, "new": 1, "unchanged": 0, "refused": 0}
    csv = "email,created\ny@people.test,1709287200\n"
    refused = suppressed.run("import", "suppressions", "-", stdin=csv, code=2)
    assert refused.complaint.startswith("reconsent: standard input:1: does not say why")
    suppressed.run("import", "suppressions", "-", "--as", "unsubscribed", stdin=csv)
