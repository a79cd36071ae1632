"""Policy texts as sites keep them: anchors, footnotes, tables, front matter and comments."""

from __future__ import annotations

import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.words.markdown import dead_ends, html, shown
from tests.html import Page

SITE_TEXT: Final = """\
---
title: Privacy
layout: legal
---

# Privacy <!-- Bob: check with legal -->

See [cookies](#cookies), [changes](#changes), [the rest](#own) and [old](#old).
It has a note.[^n] And once more.[^n]

<!--
Ask Ann before publishing.

- not a list
-->

## Cookies
<a name="old"></a>A line<br>and another.

## Changes

## The rest {#own}

## Cookies

| Who | How long |
|:----|---------:|
| We  | 1 year   |

[^n]: With a *reason*.
"""


def _page(text: str) -> Page:
    return Page(f"<body>{html(text)}</body>")


def test_a_text_of_a_site_reads_as_on_the_site() -> None:
    """Each link leads to its heading or anchor; footnotes and tables are shown as such."""
    page = _page(SITE_TEXT)
    assert [
        (e.tag, e.text, e.attributes["id"]) for e in page.elements if e.tag in ("h2", "h3")
    ] == [
        ("h2", "Privacy", "privacy"),
        ("h3", "Cookies", "cookies"),
        ("h3", "Changes", "text-changes"),
        ("h3", "The rest", "own"),
        ("h3", "Cookies", "cookies-1"),
    ]
    links = {element.text: element.attributes["href"] for element in page.all("a") if element.text}
    assert links["cookies"] == "#cookies"
    assert links["changes"] == "#text-changes"
    assert links["the rest"] == "#own"
    assert links["old"] == "#old"
    assert len(page.all("a", id="old")) == 1
    assert [element.text for element in page.all("sup")] == ["[1]", "[1]"]
    assert page.one("li", id="fn1").text.startswith("With a reason.")
    assert [cell.text for cell in page.all("td")] == ["We", "1 year"]
    assert [cell.attributes.get("class") for cell in page.all("th")] == [None, "right"]
    assert "A line and another." in page.one("body").text.replace("A lineand", "A line and")


def test_what_is_not_for_readers_is_not_shown() -> None:
    """Neither front matter nor a comment leaves, and the lines keep their numbers."""
    text = _page(SITE_TEXT).one("body").text
    for hidden in ("layout", "legal", "Bob", "Ann", "not a list", "{#own}", "--"):
        assert hidden not in text
    assert shown(SITE_TEXT).split("\n")[16] == "## Cookies"
    assert shown(SITE_TEXT).count("\n") == SITE_TEXT.count("\n")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a <!-- secret --> b", "a  b"),
        ("a <!-- secret", "a"),
        ("a <!--> secret --> b", "a  b"),
        ("`<!-- secret -->` b", "`` b"),
        ("```\n<!-- secret -->\n```", "```\n\n```"),
        ("<!<!-- secret -->-- c --> b", "b"),
        ("<<!-- secret -->!-- c --> b", "b"),
        ("<!-- secret <!-- secret --> b", "b"),
        ("> <!--\n> secret\n> --> b", ">"),
        ("---\n# secret\n---\nb", "b"),
        ("+++\ntitle = 'secret'\n+++\nb", "b"),
        ("\n---\nlayout: secret\n...: x\n---\nb", "b"),
    ],
)
def test_no_comment_or_front_matter_leaves(text: str, left: str) -> None:
    """In a paragraph, in code, over lines, never closed, or made by another one's removal."""
    assert "secret" not in html(text)
    assert left.rpartition(" ")[2].strip() in shown(text)


@pytest.mark.parametrize(
    "text",
    ["---\nHello there\n---\n\nb", "---\n\nNo end: b", "b\n\n---\na: 1\n---\n", "+++\nb\n+++"],
)
def test_rules_and_headings_are_not_taken_for_front_matter(text: str) -> None:
    """Only data between fences at the very beginning is front matter."""
    assert shown(text) == text
    assert "b" in html(text)


def test_a_link_that_leads_nowhere_is_text() -> None:
    """Readers are not led to a page that does not exist; each link is reported with its line."""
    text = "[a](#gone) and\n[b](../b.html) or [c](//c.example/)\n\n- [d](/d)\n- [e](https://e.example/)"
    page = _page(text)
    assert [element.attributes["href"] for element in page.all("a")] == ["https://e.example/"]
    assert page.one("body").text.split()[:5] == ["a", "and", "b", "or", "c"]
    assert [(line, re.findall(r"link to (\S+)", message)) for line, message in dead_ends(text)] == [
        (1, ["#gone"]),
        (2, ["../b.html"]),
        (2, ["//c.example/"]),
        (4, ["/d"]),
    ]


def test_pictures_and_footnotes_without_a_text_are_reported() -> None:
    """A picture's description is shown in its place; a footnote needs both its ends."""
    text = "![our logo](logo.png)\n\nA note.[^gone]\n\n[^unused]: Never shown."
    assert "our logo" in _page(text).one("body").text
    assert [(line, message.split(",")[0]) for line, message in dead_ends(text)] == [
        (1, "pictures are not shown"),
        (3, "the footnote [^gone] has no text"),
        (5, "the footnote [^unused] is not referred to"),
    ]


def test_anchors_are_found_however_they_are_written() -> None:
    """With other letters, encoded or in capitals; a heading of signs alone has an id too."""
    text = (
        "# Über uns\n\n[a](#über-uns) [b](#%C3%BCber-uns) [c](#Über-Uns)\n\n# !!!\n\n# 1. A & `b`"
    )
    assert list(dead_ends(text)) == []
    assert [e.attributes["id"] for e in _page(text).elements if e.tag == "h2"] == [
        "über-uns",
        "section",
        "1-a--b",
    ]


_PIECES: Final = st.sampled_from(
    ["# ", "## main", "text", "\n", "\n\n", "[x](#text)", "[x](#main)", "[y](a.md)", "[^1]",
     "[^1]: ", "<!--", "-->", "<!-- z -->", "---\n", "+++\n", "a: b\n", "|", "|-|-|\n", "`",
     "```\n", "- ", "> ", "![i](i.png)", "{#main}", "<a id='rows'></a>", "<br>", "<script>", "[z]",
     "[z]: /u\n", "https://e.x", "<https://e.x>", "\\", "*", "^[n]", "&#8238;", "\t", "\0"],
)  # fmt: skip


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_any_text_is_shown_safely(text: str) -> None:
    """No id twice, no link to nowhere, no id of the page, no comment, no mistake in any text."""
    page = _page(text)
    ids = [e.attributes["id"] for e in page.elements if e.attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert not {"main", "changes", "text", "rows"} & set(ids)
    for link in page.all("a"):
        address = link.attributes.get("href")
        if address is not None:
            assert address.startswith("https://e.x") or address[1:] in ids
    assert "<!--" not in html(text)
    assert "<!--" not in shown(text)
    lines = text.count("\n") + 1
    assert all(1 <= line <= lines for line, _ in dead_ends(text))
