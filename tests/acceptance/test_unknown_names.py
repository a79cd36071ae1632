"""Names that nothing here has are told, with the ones that were probably meant; no fact is lost."""

from __future__ import annotations

import json
from typing import Final

import pytest

from tests.acceptance.outside import World
from tests.acceptance.people import account, collection
from tests.acceptance.versions import EMAIL, SERVICE, Json, later, version

_SITE: Final[Json] = {"policy": "names", "properties": ["names.example"]}
_AT: Final = {"property": "names.example"}
V1: Final = version("n1", None, (EMAIL, [SERVICE], []), **_SITE)
CATEGORY: Final = (
    "2 collections of names.example with the category 'user.contct.email', which no version of"
    " names declares: did you mean user.contact.email?"
)


@pytest.fixture(scope="module")
def named(world: World) -> World:
    """A policy, an account and data, some of it misspelt, through both doors."""
    world.run("policy", "publish", world.policy_file(V1))
    known = [account("ann", **_AT), account("bo", property="nams.example", time_zone="Oslo")]
    path = world.lines(known)
    told = world.run("import", "accounts", path).err.splitlines()
    # Of an unknown property the other names are judged too, if they need no policy.
    what = (
        "'nams.example', which no policy lists: did you mean names.example?",
        "nams.example with the time zone 'Oslo', which does not exist; one is Europe/Oslo",
    )
    assert told == [f"{path}:2: 1 account event of {words} (warning)" for words in what]
    misspelt = {**_AT, "data_category": "user.contct.email", "collected_under": "n1"}
    good = collection("ann", **_AT, collected_under="n1")
    path = world.lines([good, collection("ann", **misspelt), collection("cy", **misspelt)])
    imported = world.run("import", "collections", path)
    assert imported.err == f"{path}:2: {CATEGORY} (warning)\n"
    assert imported.out == "3 read: 3 new, 0 unchanged, 0 refused\n"
    # Again, nothing is new: the counts stay.
    assert "(warning)" in world.run("import", "collections", path).err
    other = [collection("dan", **_AT, collected_under="n0")]
    assert world.take("emit", "collections", other)["new"] == 1
    world.work("intake")
    return world


def test_status_counts_them_until_they_are_known(named: World) -> None:
    """Through imports and topics alike; a version that is published later is known."""

    def unknown() -> dict[str, int]:
        found = named.run("status", "--json").json["unknown_names"]
        return {f"{one['topic']} {one['field']} {one['name']}": one["events"] for one in found}

    assert unknown() == {
        "accounts property nams.example": 1,
        "accounts time_zone Oslo": 1,
        "collections data_category user.contct.email": 2,
        "collections collected_under n0": 1,
    }
    shown = named.run("status").out
    assert f"  {CATEGORY}\n" in shown
    folded = " ".join(shown.split())
    assert "version 'n0', which is not published for names" in folded

    draft = version("n2", "n1", (EMAIL, [SERVICE], []), **_SITE)
    told = named.run("policy", "check", named.policy_file(draft)).err
    assert "1 account event of 'nams.example', which no policy lists" in told
    assert f"{CATEGORY}; they came in already (warning)" in told
    listed = named.policy_file(draft | {"properties": ["names.example", "nams.example"]})
    assert "nams.example" not in named.run("policy", "check", listed).err
    other = version("o1", None, (EMAIL, [SERVICE], []), policy="other", properties=["nms.example"])
    assert "(warning)" not in named.run("policy", "check", named.policy_file(other)).err
    named.run("policy", "publish", listed)
    assert "accounts property nams.example" not in unknown()


def test_commands_say_that_nothing_has_a_name(named: World) -> None:
    """A list stays empty and ends with 0; what was asked for is told on standard error."""
    for arguments, told in (
        (("--property", "nmes.example"), "property 'nmes.example': did you mean names.example?"),
        (("--account", "zoe"), "no account 'zoe' is known"),
        (("--account", "zoe", "--property", "names.example"), "'zoe' is known at names.example"),
        (("--policy-version", "n3"), "no version 'n3' is published"),
    ):
        ended = named.run("notices", *arguments)
        assert ended.out == ""
        assert told in ended.complaint
    assert named.run("notices", "--account", "ann").err == ""
    at = ("--account", "ann", "--property")
    ended = named.run("dead-letters", "list", *at, "nmes.example")
    assert ended.out == ""
    assert "'nmes.example': did you mean names.example?" in ended.err
    assert named.run("dead-letters", "list", *at, "names.example").err == ""
    for command in ("explain", "consents"):
        told = named.run(command, "ann", "--property", "nmes.example", code=2).complaint
        assert told.endswith(
            "nmes.example/ann: no such account; no policy lists the property 'nmes.example': did"
            " you mean names.example?"
        )
    told = named.run("release", "pause", "nams", "n1", code=2).complaint
    assert told.endswith("nams n1 is not published: did you mean names?")


def test_permit_tells_what_it_does_not_know(named: World) -> None:
    """Denied, as ever; once for many checks."""
    of_ann = ("permit", "ann", "--property", "names.example", "--collected-under", "n1")
    ended = named.run(*of_ann, "--category", EMAIL, "--use", "essential.servce", code=1)
    assert "denied: undeclared" in ended.out
    assert "use 'essential.servce'" in ended.complaint
    assert "did you mean essential.service?" in ended.complaint
    assert named.run(*of_ann, "--category", EMAIL, "--use", SERVICE).err == ""
    check = {"property": "nmes.example", "account": "ann", "data_category": EMAIL}
    lines = f"{json.dumps(check | {'data_use': SERVICE})}\n" * 3
    ended = named.run("permit", "--file", "-", stdin=lines)
    assert len(ended.ndjson) == 3
    assert "3 checks of 'nmes.example', which no policy lists" in ended.complaint
    array = named.run("permit", "--file", "-", stdin=json.dumps([check]), code=2)
    assert "should be an object, not an array" in array.complaint


def test_an_import_tells_what_is_dated_ahead(named: World) -> None:
    """With the first line; clocks may differ a little."""
    rows = [
        collection("eve", **_AT, collected_under="n1"),
        collection("eve", **_AT, collected_under="n1", collected_at=later(days=2)),
        collection("fay", **_AT, collected_under="n1", collected_at=later(days=3)),
    ]
    path = named.lines(rows)
    told = named.run("import", "collections", path).complaint
    assert told.startswith(
        f"{path}:2: 2 events dated ahead of now; no event counts from later than"
    )
    of_eve = ("explain", "eve", "--property", "names.example")
    [one] = named.run(*of_eve, "--json").json["dated_ahead"]
    assert one["what"] == "collection"
    assert one["stated_at"][:10] == rows[1]["collected_at"][:10]
    assert one["counts_from"] < one["stated_at"]
    shown = named.run(*of_eve).out
    assert "\nWhat was dated ahead\n  collection  states 20" in shown
    assert "(rule 27)" in shown.partition("dated ahead")[2].splitlines()[1]
    assert "dated ahead" not in named.run("explain", "ann", "--property", "names.example").out
