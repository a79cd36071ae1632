"""The choose page: opening it decides nothing, and an answer decides only what was answered."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from tests.acceptance.forms import Page, hrefs
from tests.acceptance.outside import Json, World, answer, opened, post
from tests.acceptance.people import SHOP, account, ask, collection, reason
from tests.acceptance.versions import OFFERS_BY_PARTNER, OFFERS_BY_US, later

PEOPLE = [
    *map(account, ("ann", "bea", "cal", "dan", "eva", "fay", "gil", "hob", "ida", "jon", "kim")),
    *map(account, ("lea", "lou", "mia")),
    account("ola", locale="nb-NO"),
    account("uwe", locale="de"),
    account("Åse/Øy 日本 😀", email="unicode@people.test"),
]
BOTH = {OFFERS_BY_US, OFFERS_BY_PARTNER}


@pytest.fixture(scope="module", autouse=True)
def _asked(world: World, web: httpx.Client) -> None:
    """Everyone has been asked by mail; the pages are up."""
    assert web.get("/healthz").status_code == httpx.codes.OK
    ask(world, PEOPLE)


def link(world: World, name: str) -> str:
    """Return the choose link of somebody's mail."""
    return world.link(f"{name}@people.test")


def ledger(world: World, name: str) -> list[Json]:
    """Return somebody's ledger entries."""
    return world.run("consents", name, "--property", SHOP).ndjson


def test_the_page_treats_both_answers_alike(world: World, web: httpx.Client) -> None:
    """One form, a fieldset a question with two radio buttons, none chosen, no script needed."""
    url = link(world, "ann")
    html = web.get(url).text
    page = Page.of(html)
    assert page.forms == 1
    assert page.method.lower() == "post"
    assert page.asks == BOTH
    for question in page.questions:
        assert set(question.radios) == {"allow", "deny"}
        assert len(set(question.radios.values())) == 1
        assert not question.checked
        assert "our email address" in question.text
        assert "version v1" in question.text
    assert len({tuple(question.radios.values()) for question in page.questions}) == 2
    assert {("all", "allow"), ("all", "deny")} < set(page.submits)
    assert len(page.submits) == 3
    assert "<script" not in html
    assert "Ad Partner Ltd" in html
    assert "ann@" not in html


@pytest.mark.parametrize("query", ["", "?all=allow", "?all=deny&x=1"])
def test_opening_a_link_decides_nothing(world: World, web: httpx.Client, query: str) -> None:
    """GET, HEAD and a prefetch record nothing, whatever the query is."""
    url = link(world, "bea")
    for headers in ({}, {"Purpose": "prefetch", "Sec-Purpose": "prefetch"}):
        assert web.get(url + query, headers=headers).status_code == httpx.codes.OK
        assert web.head(url + query, headers=headers).status_code == httpx.codes.OK
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        response = web.request(method, url + query, data={"all": "allow"})
        assert response.status_code == httpx.codes.METHOD_NOT_ALLOWED
    assert reason(web, "bea") == "pending"
    if not query:
        assert ledger(world, "bea") == []


def test_some_answers_leave_the_rest_open(world: World, web: httpx.Client) -> None:
    """Answers are recorded, the rest stays open; the receipt shows both."""
    url = link(world, "cal")
    receipt = answer(web, url, {OFFERS_BY_US: "allow"})
    assert "still open" in receipt.text
    assert reason(web, "cal") == "consented"
    assert reason(web, "cal", recipient="adpartner") == "pending"
    assert opened(web, url).asks == {OFFERS_BY_PARTNER}
    answer(web, url, {OFFERS_BY_PARTNER: "deny"})
    assert reason(web, "cal", recipient="adpartner") == "refused"


@pytest.mark.parametrize(
    ("name", "said", "expected"), [("dan", "allow", "consented"), ("eva", "deny", "refused")]
)
def test_one_answer_for_all(
    world: World, web: httpx.Client, name: str, said: str, expected: str
) -> None:
    """The two quieter buttons answer every question alike."""
    answer(web, link(world, name), said)
    assert reason(web, name) == expected
    assert reason(web, name, recipient="adpartner") == expected


def test_every_decision_can_be_proven(world: World, web: httpx.Client) -> None:
    """An answer is kept with its notice, its version, its channel and the words that were shown."""
    [mail] = world.mails("dan@people.test")
    entries = ledger(world, "dan")
    assert {(entry["data_use"], entry["recipient"]) for entry in entries} == BOTH
    for entry in entries:
        assert entry["event_state"] == "ConsentGiven"
        assert entry["collected_under"] == "v1"
        assert entry["notice"] == mail.notice
        assert entry["policy_version"] == "v3"
        assert entry["channel"] == "page"
        assert len(entry["text_hash"]) == 64
    # The same words, the same hash.
    answer(web, link(world, "eva"), "deny")
    assert {entry["text_hash"] for entry in ledger(world, "eva")} == {entries[0]["text_hash"]}


@pytest.mark.parametrize("data", [{}, {"all": "maybe"}, {"nonsense": "allow"}, {"all": ""}])
def test_a_form_without_an_answer_records_nothing(
    world: World, web: httpx.Client, data: dict[str, str]
) -> None:
    """The form is shown again."""
    url = link(world, "fay")
    response = web.post(url, data=opened(web, url).hidden | data)
    assert response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert Page.of(response.text).asks == BOTH
    assert reason(web, "fay") == "pending"


def test_an_invalid_form_records_nothing(world: World, web: httpx.Client) -> None:
    """Bytes that are not a valid form decide nothing and cause no error."""
    url = link(world, "fay")
    for content in (b"\xff\xfe" * 100_000, b"&&&===;;;", b"all=allow\x00", b"%"):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert web.post(url, content=content, headers=headers).status_code < 500
    assert web.post(url, json={"all": "allow"}).status_code < 500
    assert reason(web, "fay") == "pending"


def test_a_question_that_grew_is_shown_again(world: World, web: httpx.Client) -> None:
    """A page older than the question is refused with the new question, and records nothing."""
    url = link(world, "gil")
    page = opened(web, url)
    world.take("import", "collections", [collection("gil", collected_under="v2")])
    late = post(web, url, page, "allow")
    assert late.status_code == httpx.codes.CONFLICT
    assert reason(web, "gil") == "pending"
    shown = Page.of(late.text)
    assert shown.asks == BOTH
    assert all("version v2" in question.text for question in shown.questions)
    assert post(web, url, shown, "allow").status_code == httpx.codes.SEE_OTHER
    assert reason(web, "gil") == reason(web, "gil", collected_under="v2") == "consented"


def test_a_page_of_another_notice_is_answered_as_an_old_one(
    world: World, web: httpx.Client
) -> None:
    """What was shown to somebody else, or altered, decides nothing: the own page is shown."""
    world.take("import", "collections", [collection("lea", collected_under="v2")])
    larger = opened(web, link(world, "lea"))
    url = link(world, "mia")
    own = opened(web, url).hidden["ask"]
    words, _, mark = own.partition(".")
    others = larger.hidden["ask"].partition(".")[0]
    marks = [larger.hidden["ask"], others, f"{others}.{mark}", f"{words}.", f".{mark}"]
    for given in [*marks, own.upper(), own + "0", "x", "\0", "ø." + mark]:
        response = web.post(url, data={"ask": given, "all": "allow"})
        assert response.status_code == httpx.codes.CONFLICT, given
        shown = Page.of(response.text)
        assert shown.hidden["ask"] == own
        assert "version v2" not in response.text
        assert ledger(world, "mia") == []
    # A page of an earlier release, without a mark, counts if it asked what is this notice's.
    response = web.post(url, data={"ask": words, "all": "allow"})
    assert response.status_code == httpx.codes.SEE_OTHER
    assert {entry["collected_under"] for entry in ledger(world, "mia")} == {"v1"}


def test_the_same_answers_are_recorded_once(world: World, web: httpx.Client) -> None:
    """A form sent twice leads to the receipt twice, and is recorded once."""
    url = link(world, "hob")
    page = opened(web, url)
    said = {OFFERS_BY_US: "allow", OFFERS_BY_PARTNER: "deny"}
    for _ in range(3):
        assert post(web, url, page, said).status_code == httpx.codes.SEE_OTHER
    entries = ledger(world, "hob")
    assert [entry["event_state"] for entry in entries].count("ConsentGiven") == 1
    assert len(entries) == 2


def test_a_no_said_again_outranks_a_yes_from_between(world: World, web: httpx.Client) -> None:
    """Also if that arrives last: a no on a page is kept each time, whatever stands already."""
    url = link(world, "lou")
    answer(web, url, "deny")
    between = datetime.now(UTC).isoformat()
    answer(web, f"{url}/answers", "deny")
    use = {"answer": "allow", "data_use": OFFERS_BY_US[0], "recipient": OFFERS_BY_US[1]}
    who = {"property": SHOP, "account": "lou", "decided_at": between}
    world.take("import", "choices", [use | who])
    assert reason(web, "lou") == "withdrawn"


def test_answers_can_be_changed_from_the_receipt(world: World, web: httpx.Client) -> None:
    """Each answer can be changed from the receipt, also while another question is open."""
    url = link(world, "ida")
    receipt = answer(web, url, {OFFERS_BY_US: "allow"})
    [back] = {where for where in hrefs(receipt.text) if "/c/" in where}
    again = str(httpx.URL(url).join(back))
    page = opened(web, again)
    assert page.asks == BOTH
    assert not any(question.checked for question in page.questions)
    answer(web, again, {OFFERS_BY_US: "deny"})
    assert reason(web, "ida") == "withdrawn"
    assert reason(web, "ida", recipient="adpartner") == "pending"
    answer(web, again, "allow")
    assert reason(web, "ida") == reason(web, "ida", recipient="adpartner") == "consented"
    answer(web, url, "deny")
    assert reason(web, "ida") == reason(web, "ida", recipient="adpartner") == "withdrawn"


def test_a_dead_link_reveals_nothing(world: World, web: httpx.Client) -> None:
    """Unknown, altered, a deleted account's, a minor's: the same page for each, to the byte."""
    living, deleted, minor = (link(world, name) for name in ("ann", "jon", "kim"))
    assert web.get(deleted).status_code == httpx.codes.OK
    gone = account("jon", status="deleted", updated_at=later(seconds=60))
    young = account("kim", minor=True, updated_at=later(seconds=60))
    world.take("import", "accounts", [gone, young])
    start, token = living.rsplit("/", 1)
    flipped = "".join(reversed(token))
    # Some of these differ in bits that base64 leaves over.
    altered = [token[:-1] + last for last in set("ABQRgh-_") - {token[-1]}]
    altered += [token[:-1], token + "A", token + "=", flipped, token.swapcase()]
    strange = ["x", "%00", "%FF", "%2e%2e", "x" * 4000, "Ø", "-", "null"]
    urls = [deleted, minor, *(f"{start}/{name}" for name in [*altered, *strange])]
    pages = set()
    for url in urls:
        for page in (web.get(url), web.post(url, data={"all": "allow"})):
            assert page.status_code == httpx.codes.NOT_FOUND, url
            pages.add((page.content, tuple(sorted(set(page.headers) - {"date"}))))
        assert web.head(url).status_code == httpx.codes.NOT_FOUND
    assert len(pages) == 1
    assert b"mailto:" in next(iter(pages))[0]
    assert web.get(living).status_code == httpx.codes.OK


def test_headers_keep_the_page_to_itself(world: World, web: httpx.Client) -> None:
    """No page runs or loads files of others, can be framed, is cached, or sends a referrer."""
    url = link(world, "ann")
    for page in (web.get(url), web.get(url + "x"), web.get("/policies"), web.get("/nowhere")):
        policy = dict(
            directive.strip().split(" ", 1)
            for directive in page.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert "script-src" not in policy
        assert policy["frame-ancestors"] == "'none'"
        assert policy["form-action"] == "'self'"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in page.headers["Cache-Control"]
        assert "set-cookie" not in page.headers
        assert "style=" not in page.text


def test_people_read_it_in_their_language(world: World, web: httpx.Client) -> None:
    """nb-NO is served nb, on the page and in the mail; a language we lack the policy's first."""
    [mail] = world.mails("ola@people.test")
    assert mail.message["Content-Language"] == "nb"
    assert "Vi vil gjerne sende deg tilbud." in mail.text
    assert "Vi vil gjerne sende deg tilbud." in mail.html
    html = web.get(link(world, "ola"), headers={"Accept-Language": "en"}).text
    page = Page.of(html)
    assert page.language == "nb"
    assert "Ikke tillat" in html
    assert "Don't allow" not in html
    assert all("e-postadressen din" in question.text for question in page.questions)
    assert Page.of(web.get(link(world, "uwe")).text).language == "en"
    [mail] = world.mails("uwe@people.test")
    assert mail.message["Content-Language"] == "en"


def test_any_account_name_works(world: World, web: httpx.Client) -> None:
    """Slashes, spaces and any script in an account's name reach the ledger unharmed."""
    name = "Åse/Øy 日本 😀"
    answer(web, world.link("unicode@people.test"), "deny")
    assert reason(web, name) == "refused"
    assert len(ledger(world, name)) == 2
