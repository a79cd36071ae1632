"""Published policies are public and safe to read; a site can look up the notice it must show."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from typing_extensions import override

from tests.acceptance.forms import hrefs
from tests.acceptance.outside import Json, World
from tests.acceptance.people import IN_TWO_LANGUAGES
from tests.acceptance.versions import V1, V2, V3, V4, later

HOSTILE = """\
# Heading

<script>alert(1)</script> **bold** <img src=x onerror=alert(2)>

<iframe src="https://evil.test/"></iframe><style>body {display: none}</style>

[click](javascript:alert(3)) [data](data:text/html,<script>alert(4)</script>) ![i](http://evil.test/i)

<a href="https://fine.test/" onclick="alert(5)">link</a> [fine](https://fine.test/)

| a | b |
|---|---|
| 1 | <svg onload=alert(6)> |
"""
OF_A_SITE = """\
---
layout: secret
---
# Privacy <!-- secret -->

See [changes](#changes), [rights][1] and a note.[^a]

## Changes

[1]: #your-rights
[^a]: The note.

## Your rights
<!--
secret
-->
"""
EFFECTIVE = later(days=10)


def of(policy: str, *versions: Json, **changed: Any) -> list[Json]:  # noqa: ANN401 -- as in a file
    """Return versions of another policy, with a property of its own."""
    own = {"policy": policy, "properties": [f"{policy}.example"]}
    return [version | own | changed for version in versions]


@pytest.fixture(scope="module", autouse=True)
def _published(world: World, web: httpx.Client) -> None:
    """Policies with material, immaterial, past and malicious changes."""
    assert web.get("/policies").is_success
    words_only = {"version": "v2", "follows": "v1"}
    of_a_site = {"title": "T<!-- secret -->", "summary": "S<!-- secret -->", "body": OF_A_SITE}
    hostile = {"title": "<b>Title</b><script>", "summary": "<i>S</i>&amp;", "body": HOSTILE}
    [v3] = of("soon", V3, effective_at=EFFECTIVE, texts=IN_TWO_LANGUAGES)
    world.take(
        "emit",
        "policy-versions",
        [
            *of("first", V1),
            *of("words", V1, V1 | words_only),
            *of("past", V1, V2),
            *of("soon", V1, V2),
            v3,
            v3 | {"version": "v4", "follows": "v3"},
            *of("both", V1, V2 | {"effective_at": later(days=5)}, V3 | {"effective_at": EFFECTIVE}),
            *of("site", V4 | {"follows": None, "texts": {"en": of_a_site}}),
            *of("hostile", V4 | {"follows": None, "texts": {"en": hostile}}),
        ],
    )
    world.work("intake")


def notice(web: httpx.Client, policy: str, language: str = "") -> httpx.Response:
    """Request the notice that a site must show."""
    headers = {"Accept-Language": language} if language else {}
    return web.get(f"/properties/{policy}.example/notice.json", headers=headers)


@pytest.mark.parametrize("policy", ["first", "words", "past", "nobodys"])
def test_no_notice_without_a_material_change_of_late(web: httpx.Client, policy: str) -> None:
    """A first version, other words, a change long in force, an unknown property: 204."""
    response = notice(web, policy)
    assert response.status_code == httpx.codes.NO_CONTENT
    assert response.content == b""


def test_a_material_change_is_shown_until_thirty_days_in_force(web: httpx.Client) -> None:
    """The notice names the latest material version, even if an immaterial one follows."""
    found = notice(web, "soon").json()
    assert found == {
        "policy": "soon",
        "policy_version": "v3",
        "title": "Privacy policy",
        "summary": "We would like to send you offers.",
        "url": str(web.base_url.join("/policies/soon/v3")),
        "effective_at": EFFECTIVE,
        "until": later(days=40),
    }
    assert web.get(found["url"]).is_success
    assert notice(web, "both").json()["policy_version"] == "v3"


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("nb", "Personvern"),
        ("nb-NO,nb;q=0.9,en;q=0.8", "Personvern"),
        ("en;q=0.2, nb;q=0.7", "Personvern"),
        ("fr", "Privacy policy"),
        (";;q=x,,", "Privacy policy"),
        ("*", "Privacy policy"),
    ],
)
def test_a_notice_is_in_the_requested_language(
    web: httpx.Client, language: str, title: str
) -> None:
    """The best of the requested languages, or the policy's first."""
    assert notice(web, "soon", language).json()["title"] == title


def test_a_text_is_shown_as_on_the_site_that_it_comes_from(web: httpx.Client) -> None:
    """Its links lead to its headings, and what is not for readers never leaves."""
    paths = (
        "/policies",
        "/policies/site",
        "/policies/site/v4",
        "/properties/site.example/notice.json",
    )
    for path in paths:
        assert "secret" not in web.get(path).text
    html = web.get("/policies/site/v4").text
    within = [where[1:] for where in hrefs(html) if where.startswith("#")]
    assert within == ["main", "text-changes", "your-rights", "fn1", "fnref1"]
    for where in within:
        assert html.count(f'id="{where}"') == 1


def test_the_history_leads_to_every_version(web: httpx.Client) -> None:
    """Every policy is listed with all its versions, each with its text and what it changed."""
    listed = {where for where in hrefs(web.get("/policies").text) if "/policies/" in where}
    assert {where.rsplit("/", 1)[1] for where in listed} == {
        "first",
        "words",
        "past",
        "soon",
        "both",
        "hostile",
        "site",
    }
    history = web.get("/policies/soon")
    links = [where for where in hrefs(history.text) if "/policies/soon/" in where]
    assert [where.rsplit("/", 1)[1] for where in links] == ["v4", "v3", "v2", "v1"]
    assert "In force now" in history.text
    for name in ("v1", "v2", "v3", "v4"):
        assert web.get(f"/policies/soon/{name}").is_success
        assert web.head(f"/policies/soon/{name}").is_success
    third = web.get("/policies/soon/v3").text
    assert "<strong>your</strong>" in third
    assert "offers by email" in third
    assert "Ad Partner Ltd" in third
    mistyped = ("/policies/nobodys", "/policies/soon/v9", "/policies/soon/v1/more", "/policies/%00")
    for path in mistyped:
        assert web.get(path).status_code == httpx.codes.NOT_FOUND


def test_a_text_is_read_in_either_language(web: httpx.Client) -> None:
    """A browser's language counts, and each page leads to the other language."""
    norwegian = web.get("/policies/soon/v3", headers={"Accept-Language": "nb-NO"})
    assert "Hva vi gjør" in norwegian.text
    assert '<html lang="nb"' in norwegian.text
    [other] = {where for where in hrefs(norwegian.text) if "lang=" in where}
    english = web.get(norwegian.url.join(other), headers={"Accept-Language": "nb-NO"})
    assert '<html lang="en"' in english.text
    assert "What we do with" in english.text


class _Elements(HTMLParser):
    """Collects what could act on a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.feed(html)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}


@pytest.mark.parametrize("path", ["/policies", "/policies/hostile", "/policies/hostile/v4"])
def test_a_hostile_text_is_inert(web: httpx.Client, path: str) -> None:
    """Nothing in a title, summary or Markdown runs, loads or hides; the rest stays readable."""
    html = web.get(path).text
    page = _Elements(html)
    assert not page.tags & {"script", "img", "iframe", "svg", "style", "object", "b", "i"}
    assert not any(name.startswith("on") for name, _ in page.attributes)
    links = {value for name, value in page.attributes if name in {"href", "src"}}
    assert not any(value.startswith(("javascript:", "data:", "http://evil")) for value in links)
    assert "&lt;b&gt;Title&lt;/b&gt;" in html
    if path.endswith("v4"):
        assert "<strong>bold</strong>" in html
        assert "https://fine.test/" in links
        assert "table" in page.tags
