"""What every page has in common: readable by everyone, and fetching nothing but its stylesheet."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from reconsent.words import refusals
from reconsent.words.frame import stylesheet, stylesheet_hash
from reconsent.words.views import ErrorView
from tests.asked import SITE, asked, second
from tests.html import Page
from tests.pages import everything


@pytest.fixture(scope="module", params=["en", "nb"])
def every_page(request: pytest.FixtureRequest) -> dict[str, Page]:
    """Every page in one language."""
    rendered = everything(asked(locale=request.param))
    return {name: Page(html) for name, html in rendered.items()}


def test_no_page_fetches_or_runs_anything_but_the_stylesheet(every_page: dict[str, Page]) -> None:
    """A strict policy of content allows every page: no script, no inline style, one stylesheet."""
    for name, page in every_page.items():
        fetched = [e for e in page.elements if e.tag in {"script", "img", "iframe", "style", "svg"}]
        assert not fetched, name
        sheet = page.one("link", rel="stylesheet")
        assert (sheet.attributes["href"] or "").startswith("/static/site.css?v=")
        for element in page.elements:
            inline = {a for a in element.attributes if a == "style" or a.startswith("on")}
            assert not inline, name


def test_every_page_can_be_read_by_ear(every_page: dict[str, Page]) -> None:
    """Language, one main heading and then in order, labels for fields, and ids used once."""
    for name, page in every_page.items():
        assert page.one("html").attributes["lang"] in {"en", "nb"}
        assert page.one("title").text
        levels = [int(e.tag[1]) for e in page.elements if re.fullmatch(r"h[1-6]", e.tag)]
        banners = len(page.all("div", role="alert"))
        assert levels[banners] == 1, name
        assert levels.count(1) == 1, name
        below = levels[banners:]
        assert all(after <= before + 1 for before, after in itertools.pairwise(below))
        ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
        assert len(ids) == len(set(ids)), name
        radios = {e.attributes["id"] for e in page.all("input", type="radio")}
        assert radios == {e.attributes["for"] for e in page.all("label")}, name
        for fieldset in page.all("fieldset"):
            assert fieldset.text
        assert SITE.contact in page.text, name


def test_words_are_text_not_markup() -> None:
    """No page renders a policy file's words as markup."""
    hostile = "<u>x</u>"
    texts = {"en": {"title": hostile, "summary": hostile, "body": hostile}}
    version = second(
        texts=texts,
        parties={"example": {"name": hostile}},
        words={"en": {"user.contact.email": hostile, "analytics.reporting": hostile}},
    )
    for name, html in everything(asked(version, property_name=hostile)).items():
        assert not Page(html).all("u"), name


def test_pages_lie_where_the_site_does() -> None:
    """A site below a path links to its own stylesheet and pages."""
    site = replace(SITE, public_url="https://example.com/privacy/")
    page = Page(refusals.error(ErrorView(status=404, language="en"), site))
    sheet = page.one("link", rel="stylesheet").attributes["href"] or ""
    assert sheet.startswith("/privacy/static/site.css")
    assert len(page.all("a", href="/privacy/policies")) == 1


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    full = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
    channels = [int(full[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#\w+);", block))


def _themes() -> dict[str, dict[str, str]]:
    css = stylesheet().decode()
    light, dark, *_ = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    return {"light": _colours(light), "dark": _colours(light) | _colours(dark)}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_is_high_enough_for_everyone(theme: str) -> None:
    """Text has a contrast of 7:1, controls and the focus 3:1."""
    colour = _themes()[theme]
    for text in ("ink", "quiet", "link"):
        for ground in ("ground", "paper"):
            assert _contrast(colour[text], colour[ground]) >= 7, (text, ground)
    assert _contrast(colour["on-act"], colour["act"]) >= 7
    for text in ("ink", "link"):
        assert _contrast(colour[text], colour["mark"]) >= 7
    for edge in ("edge", "focus", "act"):
        for ground in ("ground", "paper"):
            assert _contrast(colour[edge], colour[ground]) >= 3, (edge, ground)


def test_the_stylesheet_is_small_and_complete() -> None:
    """Under 10 KB, nothing fetched from it, both themes and paper."""
    css = stylesheet().decode()
    assert len(css) < 10_000
    assert "url(" not in css
    assert "@import" not in css
    assert "prefers-color-scheme: dark" in css
    assert "@media print" in css
    assert stylesheet_hash() in refusals.dead_link("en", SITE)
