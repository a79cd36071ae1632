"""Files of events: one malformed line rejects the whole file; import and emit do the same."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.acceptance.outside import Json, World
from tests.acceptance.people import ANN, SHOP, account, choice, collection, reason
from tests.acceptance.versions import EMAIL, PHONE, V1, V2, V3

HEAD = "property,account,data_category,collected_under,collected_at"
CSV_ROW = f"{SHOP},before,{EMAIL},v1,2026-01-01T00:00:00Z"
BEFORE = account("before")


def _line(**changed: Any) -> str:  # noqa: ANN401 -- as in an event
    return json.dumps({name: v for name, v in (BEFORE | changed).items() if v != "left out"})


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.ndjson", _line(status="asleep"), ":2: status: "),
        ("a.ndjson", _line(contact="left out"), ":2: contact: "),
        ("a.ndjson", _line(updated_at="yesterday"), ":2: updated_at: "),
        ("a.ndjson", _line(updated_at="2026-01-01T00:00:00"), ":2: updated_at: "),
        ("a.ndjson", _line(updated_at="2026-02-30T00:00:00Z"), ":2: updated_at: "),
        ("a.ndjson", _line(account=""), ":2: account: "),
        ("a.ndjson", _line(account="x" * 100_000), ":2: account: "),
        ("a.ndjson", _line(property="with/slash"), ":2: property: "),
        ("a.ndjson", _line(minor="perhaps"), ":2: minor: "),
        ("a.ndjson", '{"property": ', ":2: not JSON: "),
        ("a.ndjson", "[1, 2]", ":2: "),
        ("a.ndjson", "null", ":2: "),
        ("a.ndjson", '{"specversion": "1.0", "type": "reconsent.choice.v1"}', ":2: type: "),
        ("a.ndjson", '{"specversion": "1.0", "type": "reconsent.account.v1"}', ":2: source: "),
        ("a.ndjson", "x" * 20_000_000, ":2: longer than "),
        ("c.csv", f"{HEAD},zebra\n{CSV_ROW},1", ":1: zebra: "),
        ("c.csv", "property,account\nshop.example,x", ":1: data_category: "),
        ("c.csv", f"{HEAD}\n{CSV_ROW}\n{CSV_ROW},more", ":3: "),
        ("c.csv", f'{HEAD}\n{CSV_ROW}\nshop.example,"unclosed', ":3: "),
        ("c.csv", f"{HEAD}\n{CSV_ROW}\n{CSV_ROW.replace('Z', '')}", ":3: collected_at: "),
        ("c.csv", "", ":1: is empty"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_one_malformed_line_rejects_the_whole_file(
    shop: World, name: str, content: str, told: str
) -> None:
    """A file with a line that cannot be read is refused whole, naming file, line and field."""
    is_csv = name.endswith(".csv")
    path = shop.file(name, content if is_csv else f"{json.dumps(BEFORE)}\n{content}\n")
    verb, topic = ("emit", "collections") if is_csv else ("import", "accounts")
    ended = shop.run(verb, topic, path, code=2)
    assert f"{path}{told}" in ended.complaint
    assert len(ended.complaint) < 500
    assert ended.out == ""


def test_nothing_of_a_rejected_file_was_recorded(shop: World, web: httpx.Client) -> None:
    """The account before the malformed lines is unknown afterwards."""
    shop.work("intake")
    assert reason(web, "before") == "unknown_account"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x01", b"\x00", b"{\x80}"])
def test_a_file_that_is_not_text_is_reported(shop: World, content: bytes) -> None:
    """A file that is not UTF-8 is rejected, with the line."""
    path = shop.file("a.ndjson", content)
    assert f"{path}:1: " in shop.run("import", "accounts", path, code=2).complaint


@pytest.mark.parametrize("name", ["nowhere.ndjson", "."])
def test_a_file_that_cannot_be_read_is_reported(shop: World, name: str) -> None:
    """Each command that reads files names a missing file and a folder."""
    for command in ("import accounts", "emit choices", "permit --file", "policy check"):
        ended = shop.run(*command.split(), name, code=2)
        assert name in ended.complaint


def test_importing_again_changes_nothing(shop: World) -> None:
    """Known and older events are unchanged; CSV gives the same as NDJSON."""
    same = {"read": 1, "new": 0, "unchanged": 1, "refused": 0}
    assert shop.take("import", "accounts", [ANN]) == same
    older = ANN | {"contact": "none", "updated_at": "2019-01-01T00:00:00Z"}
    assert shop.take("import", "accounts", [older]) == same
    row = f"{SHOP},ann,{EMAIL},v1,2020-01-01T00:00:00Z"
    table = shop.file("c.csv", f"{HEAD},source,erased\r\n{row},,\r\n")
    assert shop.run("import", "collections", table, "--json").json == same
    lines = f"\n{json.dumps(collection('ann'))}\r\n\n"
    assert shop.run("import", "collections", "-", "--json", stdin=lines).json == same
    nothing = {"read": 0, "new": 0, "unchanged": 0, "refused": 0}
    assert shop.run("import", "choices", "-", "--json").json == nothing
    told = shop.run("import", "accounts", shop.lines([ANN])).out
    assert told == "1 read: 0 new, 1 unchanged, 0 refused\n"


def test_import_and_emit_give_the_same_result(shop: World) -> None:
    """The same events, imported for one property and emitted for another, make the same account."""
    told = []
    for verb in ("import", "emit"):
        site = f"{verb}.example"
        own = {"property": site}
        policies = [one | {"policy": verb, "properties": [site]} for one in (V1, V2, V3)]
        assert shop.take("emit", "policy-versions", policies)["read"] == 3
        shop.work("intake")
        events: dict[str, list[Json]] = {
            "accounts": [account("a/b", name="Å", **own), account("a/b", contact="service", **own)],
            "collections": [
                collection("a/b", **own),
                collection("a/b", data_category=PHONE, collected_under=None, **own),
                collection("a/b", collected_under="v2", erased=True, **own),
                collection("a/b", collected_under="v7", **own),
            ],
            "choices": [
                choice("a/b", "allow", recipient="example", policy_version="v3", **own),
                choice("a/b", "deny", recipient="adpartner", evidence={"call": 1}, **own),
            ],
        }
        for topic, rows in events.items():
            counted = shop.take(verb, topic, rows)
            assert (counted["read"], counted["refused"]) == (len(rows), 0)
        shop.work()
        shown = [
            shop.run("explain", "a/b", "--property", site, "--json").out,
            shop.run("consents", "a/b", "--property", site).out,
            shop.run("notices", "--property", site).out,
        ]
        told.append([_without_names(text.replace(verb, "VERB")) for text in shown])
    assert told[0] == told[1]
    assert '"ConsentGiven"' in told[0][1]
    assert '"choice"' in told[0][2]


def _without_names(text: str) -> str:
    """Return JSON lines without what differs between two accounts with the same facts."""
    unlike = {"notice", "recorded_at", "decided_on", "accepted_at", "mailed_at", "at", "since"}

    def cleaned(value: object) -> object:
        if isinstance(value, dict):
            return {name: cleaned(item) for name, item in value.items() if name not in unlike}
        return [cleaned(item) for item in value] if isinstance(value, list) else value

    return "\n".join(json.dumps(cleaned(json.loads(line))) for line in text.splitlines())


def test_files_may_contain_cloudevents(shop: World, web: httpx.Client) -> None:
    """A line may be a whole CloudEvent: its id names a choice, a null account is a deletion."""

    def event(singular: str, name: str, data: Json | None, **more: str) -> Json:
        attributes = {"specversion": "1.0", "type": f"reconsent.{singular}.v1"}
        return attributes | {"source": "urn:test", "id": name, "data": data} | more

    said = choice("dag", "allow", recipient="example", data_category=EMAIL, collected_under="v1")
    taken_back = said | {"answer": "deny", "decided_at": "2022-01-01T00:00:00Z"}
    shop.take("emit", "accounts", [event("account", "1", account("dag"))])
    shop.take("emit", "choices", [event("choice", "1", said), event("choice", "1", taken_back)])
    shop.work("intake")
    # The same source and id is the same choice, whatever it says.
    assert reason(web, "dag") == "consented"
    shop.take("import", "choices", [event("choice", "2", taken_back)])
    assert reason(web, "dag") == "withdrawn"
    gone = event("account", "2", None, subject=f"{SHOP}/dag", time="2026-01-01T00:00:00Z")
    shop.take("emit", "accounts", [gone])
    shop.work("intake")
    assert reason(web, "dag") == "account_deleted"
    nameless = shop.run("emit", "accounts", shop.lines([event("account", "3", None)]), code=2)
    assert ":1: " in nameless.complaint


def test_an_unusable_address_is_reported(shop: World) -> None:
    """The account is recorded without it, with a line that says so."""
    path = shop.lines([account("odd", email="no address")])
    ended = shop.run("import", "accounts", path, "--json")
    assert ended.json["new"] == 1
    assert f"{path}:1: email: " in ended.complaint


def test_an_address_that_can_be_mended_is_no_matter(shop: World) -> None:
    """Blanks around it and invisible characters are taken away."""
    path = shop.lines([account("eve", email="\u200b eve@people.test\u200d\n")])
    ended = shop.run("import", "accounts", path)
    assert (ended.out, ended.err) == ("1 read: 1 new, 0 unchanged, 0 refused\n", "")
