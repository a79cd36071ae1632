"""Permission checks: over HTTP, from a file, or one by one."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.acceptance.outside import API_TOKEN, Json, World, answer, permissions
from tests.acceptance.people import SHOP, VERSIONS, account, ask, check, choice
from tests.acceptance.versions import EMAIL, LONG_AGO, OFFERS, OFFERS_BY_US, SERVICE, later

FIELDS = {
    "allowed",
    "reason",
    "suppression",
    "property",
    "account",
    "data_category",
    "collected_under",
    "data_use",
    "recipient",
    "at",
}
ODD = "a/b ø\u2028"
CHECKS = [
    check("ann"),
    check("ann", recipient="adpartner"),
    check("ann", data_use=SERVICE),
    check("ann", collected_under="v9"),
    check("ann", collected_under=None),
    check("bo"),
    check("cy"),
    check("cy", data_use=SERVICE),
    check("nobody"),
    check("ann", property="nowhere.example"),
    check(ODD, at=later(days=1000)),
    check("ann", data_use="nothing.like.it"),
    check("ann"),
]
ANSWERS = [
    (True, "consented"),
    (False, "pending"),
    (True, "declared"),
    (False, "unknown_version"),
    (False, "pending"),
    (False, "refused"),
    (False, "suppressed"),
    (True, "declared"),
    (False, "unknown_account"),
    (False, "unknown_account"),
    (False, "pending"),
    (False, "undeclared"),
    (True, "consented"),
]
HEADERS = {"Authorization": f"Bearer {API_TOKEN}"}


@pytest.fixture(scope="module", autouse=True)
def _answered(world: World, web: httpx.Client) -> None:
    """Ann said yes on the page, Bo no on the phone, Cy opted out, and one has not answered."""
    accounts = [account("ann"), account("bo"), account("cy", contact="none")]
    ask(world, [*accounts, account(ODD, email="odd@people.test")])
    world.take("import", "choices", [choice("bo", "deny", channel="phone")])
    answer(web, world.link("ann@people.test"), {OFFERS_BY_US: "allow"})


def posted(web: httpx.Client, body: object, **more: Any) -> httpx.Response:  # noqa: ANN401 -- httpx's
    """Post to the API as it comes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return web.post(
        "/v1/permissions",
        content=content,
        headers=HEADERS | {"Content-Type": "application/json"},
        **more,
    )


def without_time(answers: list[Json]) -> list[Json]:
    """Return answers without the moment at which they were given."""
    return [{name: value for name, value in one.items() if name != "at"} for one in answers]


def test_answers_come_in_order_with_their_reasons(world: World, web: httpx.Client) -> None:
    """Each check has its answer at its place, the same over HTTP and from a file."""
    answers = permissions(web, CHECKS)
    assert [(one["allowed"], one["reason"]) for one in answers] == ANSWERS
    for asked, answered in zip(CHECKS, answers, strict=True):
        assert set(answered) == FIELDS
        assert asked.items() - {("at", asked.get("at"))} <= answered.items()
    assert answers[0]["recipient"] == "example"
    assert answers[6]["suppression"] == "all_comms_opt_out"
    assert answers[0]["suppression"] is None
    lines = "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in CHECKS)
    filed = world.run("permit", "--file", "-", stdin=lines)
    assert without_time(filed.ndjson) == without_time(answers)
    assert all(line.endswith("(warning)") for line in filed.err.splitlines())
    assert "which no policy lists (warning)" in filed.err


def test_evidence_is_given_on_request(world: World, web: httpx.Client) -> None:
    """An answer by consent names its ledger entry, over HTTP and on the command line."""
    [consented, refused] = permissions(web, [check("ann"), check("bo")], evidence=True)
    [yes] = consented["evidence"]["consents"]
    assert (yes["event_state"], yes["channel"]) == ("ConsentGiven", "page")
    [no] = refused["evidence"]["consents"]
    assert (no["event_state"], no["channel"], no["data_category"]) == (
        "ConsentRefused",
        "phone",
        "*",
    )
    line = json.dumps(check("ann"))
    filed = world.run("permit", "--file", world.file("c.ndjson", line), "--evidence").ndjson
    assert filed[0]["evidence"] == consented["evidence"]
    assert json.loads(line).items() <= filed[0].items()


def test_one_check_ends_with_the_answer(world: World) -> None:
    """`permit` exits 0 where it is allowed and 1 where it is denied; JSON has all fields."""
    options = ["--property", SHOP, "--category", EMAIL, "--use", OFFERS]
    allowed = world.run("permit", "ann", *options, "--collected-under", "v1", "--json")
    assert set(allowed.json) == FIELDS | {"evidence"}
    assert (allowed.json["reason"], allowed.json["at"][-1]) == ("consented", "Z")
    unknown = world.run("permit", "ann", *options, "--json", code=1)
    assert unknown.json["collected_under"] is None
    assert unknown.json["reason"] == "pending"
    denied = world.run(
        "permit", "ann", *options, "--collected-under", "v1", "--recipient", "adpartner", code=1
    )
    assert "pending" in denied.out


def test_the_future_can_be_checked_and_the_past_cannot_yet(world: World, web: httpx.Client) -> None:
    """A future time is answered by what is known today; a past time is refused."""
    at = "2999-12-31T23:59:59+01:00"
    [found] = permissions(web, [check("ann", at=at)])
    assert (found["allowed"], found["at"]) == (True, "2999-12-31T22:59:59Z")
    refused = posted(web, {"checks": [check("ann"), check("ann", at=LONG_AGO)]})
    assert refused.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert "checks.1.at" in refused.json()["error"]
    assert "past" in refused.json()["error"]
    options = ["--property", SHOP, "--category", EMAIL, "--use", OFFERS, "--at", LONG_AGO]
    assert "past" in world.run("permit", "ann", *options, code=2).complaint
    lines = "\n".join(json.dumps(one) for one in (check("ann"), check("ann", at=LONG_AGO)))
    filed = world.run("permit", "--file", "-", stdin=lines, code=2)
    assert "standard input:2: at: " in filed.complaint
    assert filed.out == ""


def test_it_is_never_open_whose_permission_a_line_asks_for(world: World) -> None:
    """A line that names two accounts is refused, and nothing is answered."""
    one = json.dumps(check("ann"))
    lines = f'{one}\n{one[:-1]}, "account": "bo"}}\n'
    filed = world.run("permit", "--file", "-", stdin=lines, code=2)
    assert filed.complaint == "reconsent: standard input:2: account: is given twice"
    assert filed.out == ""


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer wrong",
        API_TOKEN,
        f"Basic {API_TOKEN}",
        f"Bearer {API_TOKEN}x",
    ],
)
def test_only_the_bearer_of_the_token_is_answered(web: httpx.Client, authorization: str) -> None:
    """Without the token everything under /v1 and the metrics answer 401, and nothing else."""
    headers = {"Authorization": authorization}
    for response in (
        web.post("/v1/permissions", json={"checks": [check("ann")]}, headers=headers),
        web.post("/v1/permissions", content=b"nonsense", headers=headers),
        web.get(f"/v1/accounts/{SHOP}/ann", headers=headers),
        web.get("/metrics", headers=headers),
    ):
        assert response.status_code == httpx.codes.UNAUTHORIZED
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert "consented" not in response.text
    assert web.get("/metrics", headers={"Authorization": f"bearer {API_TOKEN}"}).is_success
    assert web.get("/healthz").is_success
    assert web.get("/readyz").is_success


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", ""),
        (b"{", "JSON"),
        (b"\xff\xfe", ""),
        ([], ""),
        ({}, "checks"),
        ({"checks": {}}, "checks"),
        ({"checks": [1]}, "checks.0"),
        ({"checks": [{}]}, "checks.0.property"),
        ({"checks": [check("ann") | {"zebra": 1}]}, "checks.0.zebra"),
        ({"checks": [check("ann"), check("ann", data_use="a..b")]}, "checks.1.data_use"),
        ({"checks": [check("ann", account=5)]}, "checks.0.account"),
        ({"checks": [check("ann", at="tomorrow")]}, "checks.0.at"),
        ({"checks": [check("ann", at="2999-01-01T00:00:00")]}, "checks.0.at"),
        ({"checks": [], "more": True}, "more"),
    ],
)
def test_an_invalid_request_is_reported_with_its_place(
    web: httpx.Client, body: object, named: str
) -> None:
    """The message names the place, and does not repeat the input."""
    response = posted(web, body)
    assert response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert set(response.json()) == {"error"}
    assert named in response.json()["error"]
    assert len(response.text) < 300


def test_a_request_that_is_not_json_is_refused(web: httpx.Client) -> None:
    """A form, as curl -d sends it, is refused, whatever it contains."""
    form = HEADERS | {"Content-Type": "application/x-www-form-urlencoded"}
    response = web.post("/v1/permissions", headers=form, content=b'{"checks": []}')
    assert response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert response.json() == {"error": "content-type: must be application/json"}


def test_ten_thousand_at_once(web: httpx.Client) -> None:
    """A batch of 10,000 is answered as its checks are one by one; a larger one is refused."""
    answers = permissions(web, CHECKS * 769 + CHECKS[:3])
    assert [(one["allowed"], one["reason"]) for one in answers] == ANSWERS * 769 + ANSWERS[:3]
    assert len(answers) == 10_000
    refused = posted(web, {"checks": [CHECKS[0]] * 10_001})
    assert refused.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert len(refused.text) < 300
    assert permissions(web, []) == []


def test_an_account_is_explained_without_personal_data(web: httpx.Client) -> None:
    """An account's story over HTTP has no name or address; an unknown account is 404."""
    told = web.get(f"/v1/accounts/{SHOP}/ann", headers=HEADERS)
    assert told.is_success
    assert "@people.test" not in told.text
    assert told.json()["latest_version"] == VERSIONS[-1]["version"]
    odd = web.get(
        httpx.URL(f"/v1/accounts/{SHOP}/").join("a%2Fb%20%C3%B8%E2%80%A8"), headers=HEADERS
    )
    assert odd.is_success
    assert odd.json()["account"] == ODD
    missing = web.get(f"/v1/accounts/{SHOP}/nobody", headers=HEADERS)
    assert missing.status_code == httpx.codes.NOT_FOUND
