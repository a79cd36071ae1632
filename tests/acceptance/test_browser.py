"""In a real browser: from mail to receipt by keyboard alone, on a phone, without scripts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from reconsent.words.frame import stylesheet
from reconsent.words.mails import render_mail
from tests.acceptance.outside import World
from tests.acceptance.people import account, ask, reason
from tests.asked import SITE, asked
from tests.pages import everything

pytestmark = pytest.mark.browser

_NAMES = ("chromium", "chromium-browser", "google-chrome")
NARROW = ViewportSize(width=320, height=640)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a Chromium of the machine's own."""
    given = os.environ.get("CHROMIUM")  # noqa: TID251 -- what the machine offers the tests
    path = given or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        message = "no Chromium: apt-get install chromium, or set CHROMIUM to one"
        if os.environ.get("REQUIRE_ALL") == "1":  # noqa: TID251 -- what the machine offers
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module", autouse=True)
def _asked(world: World, web: httpx.Client) -> None:
    """Some people have been asked by mail; the pages are up."""
    assert web.get("/healthz").is_success
    names = ("tab", "script", "narrow", "narrow-nb", "policies")
    some_asked, told = (
        [account(n, locale="nb-NO" if n.endswith("nb") else "en") for n in some]
        for some in (names, ("left", "left-nb"))
    )
    ask(world, some_asked, told)


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Open an empty page, without JavaScript unless a test says otherwise."""
    scripts = bool(getattr(request, "param", False))
    context = browser.new_context(java_script_enabled=scripts, viewport=NARROW, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield page
    context.close()


def open_mail(world: World, page: Page, name: str) -> None:
    """Show somebody's mail as its reader sees it."""
    [mail] = world.mails(f"{name}@people.test")
    page.goto(world.file("mail.html", mail.html).as_uri())


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"Tab does not lead to {selector}")


def is_ringed(page: Page) -> bool:
    """Tell whether a ring of 2 px or more, or a label's, shows where the focus is."""
    # Playwright's own scripts run also where the page's do not.
    width = page.locator(":focus").evaluate(
        """element => Math.max(...[element, element.closest('label')].filter(Boolean).map(one => {
            const style = getComputedStyle(one);
            return style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth);
        }))"""
    )
    return float(width) >= 2


def is_within(page: Page) -> bool:
    """Tell whether the page fits its window without scrolling sideways."""
    return bool(
        page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    )


@pytest.mark.parametrize(
    ("page", "name"), [(False, "tab"), (True, "script")], indirect=["page"], ids=["bare", "scripts"]
)
def test_keyboard_alone_is_enough(world: World, web: httpx.Client, page: Page, name: str) -> None:
    """Tab, Space and Enter lead from the mail to the receipt, and to changing an answer."""
    loaded: list[str] = []
    page.context.on("request", lambda request: loaded.append(request.url))
    open_mail(world, page, name)
    tab_to(page, "a[href*='/c/']")
    with page.context.expect_page() as followed:
        page.keyboard.press("Enter")
    page = followed.value
    page.locator("fieldset").first.wait_for()
    assert page.url == world.link(f"{name}@people.test")
    assert reason(web, name) == "pending"
    assert page.locator("input:checked").count() == 0
    for recipient, value in (("adpartner", "deny"), ("example", "allow")):
        fieldset = f"fieldset[data-recipient={recipient}]"
        tab_to(page, f"{fieldset} input")
        assert is_ringed(page)
        page.keyboard.press("Space")
        if value == "deny":
            page.keyboard.press("ArrowDown")
        assert page.locator(f"{fieldset} input[value={value}]").is_checked()
    tab_to(page, "button:not([name])")
    assert is_ringed(page)
    page.keyboard.press("Enter")
    page.wait_for_url("**/receipt")
    assert page.locator("dl").inner_text().count("Allow") == 1
    assert reason(web, name) == "consented"
    assert reason(web, name, recipient="adpartner") == "refused"
    tab_to(page, "main a")
    assert is_ringed(page)
    page.keyboard.press("Enter")
    page.locator("fieldset").first.wait_for()
    assert page.locator("fieldset").count() == 2
    assert page.locator("input:checked").count() == 0
    tab_to(page, "button[name=all][value=deny]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/receipt")
    assert reason(web, name) == "withdrawn"
    assert all(url.startswith((world.url, "file:")) for url in loaded), loaded


@pytest.mark.parametrize("size", [(320, 640), (1280, 640), (1280, 500)])
def test_what_has_the_focus_is_seen_whole(page: Page, size: tuple[int, int]) -> None:
    """Each answer with its label, and each button, once Tab leads to it."""
    page.set_viewport_size(ViewportSize(width=size[0], height=size[1]))
    shown = everything(asked())["choose again"]
    page.set_content(shown.replace("</head>", f"<style>{stylesheet().decode()}</style></head>"))
    page.keyboard.press("Tab")
    for _ in range(page.locator("a, button, summary, fieldset").count() - 1):
        page.keyboard.press("Tab")
        assert is_ringed(page)
        assert page.locator(":focus").evaluate(
            """element => {
                const box = (element.closest('label') ?? element).getBoundingClientRect();
                return box.top >= 0 && box.bottom <= innerHeight;
            }"""
        ), page.locator(":focus").inner_html()


@pytest.mark.parametrize("name", ["narrow", "narrow-nb"])
def test_everything_fits_a_narrow_phone(world: World, page: Page, name: str) -> None:
    """At 320 px nothing scrolls sideways, and touch targets are 44 px high."""
    open_mail(world, page, name)
    assert is_within(page)
    page.goto(world.link(f"{name}@people.test"))
    assert is_within(page)
    for target in page.locator("main label, main button").all():
        box = target.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    sizes = [button.bounding_box() for button in page.locator("button[name=all]").all()]
    assert len({(box["width"], box["height"]) for box in sizes if box}) == 1
    page.locator("button[name=all][value=deny]").click()
    page.wait_for_url("**/receipt")
    assert is_within(page)
    for path in ("/policies", "/policies/shop", "/policies/shop/v3", "/nowhere", "/c/dead"):
        page.goto(f"{world.url}{path}")
        assert is_within(page), path


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("name", ["left", "left-nb"])
def test_leaving_optional_mail(
    world: World, page: Page, tmp_path: Path, name: str, width: int
) -> None:
    """By keyboard from the mail: one button, one receipt, and a way back; all fits."""
    page.set_viewport_size({"width": width, "height": 640})
    open_mail(world, page, name)
    assert is_within(page)
    tab_to(page, "a[href*='/u/']")
    page.keyboard.press("Enter")
    page.locator("button").wait_for()
    assert page.locator("button").count() == 1
    box = page.locator("button").bounding_box()
    assert box is not None
    assert box["height"] >= 44
    assert is_within(page)
    page.screenshot(path=tmp_path / f"unsubscribe-{name}-{width}.png", full_page=True)
    tab_to(page, "button")
    assert is_ringed(page)
    page.keyboard.press("Enter")
    page.locator("form[action$='/again'] button").wait_for()
    said = "Du er meldt av" if name.endswith("nb") else "You are unsubscribed"
    assert page.locator("h1").inner_text() == said
    assert is_within(page)
    page.screenshot(path=tmp_path / f"unsubscribed-{name}-{width}.png", full_page=True)
    page.reload()
    assert page.locator("h1").inner_text() == said
    tab_to(page, "button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/again")
    again = "Du får nytt fra oss igjen" if name.endswith("nb") else "You get our news again"
    assert page.locator("h1").inner_text() == again
    assert is_within(page)
    page.screenshot(path=tmp_path / f"again-{name}-{width}.png", full_page=True)
    page.goto(page.url)
    assert page.locator("h1").inner_text() == again


@pytest.mark.parametrize("locale", ["en", "nb"])
def test_nothing_sticks_out_of_a_card(page: Page, locale: str) -> None:
    """On a phone, long words of headings and tables stay within their question."""
    for name, html in everything(asked(locale=locale)).items():
        page.set_content(html.replace("</head>", f"<style>{stylesheet().decode()}</style></head>"))
        assert is_within(page), name
        wide = page.locator("fieldset, .question, .receipt > div").evaluate_all(
            """cards => cards.filter(one => one.scrollWidth > one.clientWidth)
                             .map(one => one.innerText)"""
        )
        assert wide == [], name


_BROKEN = r"""() => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const word = document.createRange(), broken = [];
    while (texts.nextNode()) {
        for (const found of texts.currentNode.data.matchAll(/((?<!\p{L})\p{L}-)?\p{L}{12,}/gu)) {
            word.setStart(texts.currentNode, found.index);
            word.setEnd(texts.currentNode, found.index + found[0].length);
            const lines = new Set([...word.getClientRects()].map(line => Math.round(line.top)));
            if (lines.size > 1) broken.push(found[0]);
        }
    }
    return broken;
}"""
"""Finds long words that are on two lines."""


@pytest.mark.parametrize("width", [320, 375, 480])
def test_no_word_is_broken_on_a_phone(page: Page, width: int) -> None:
    """In Norwegian, with its long words: on the page with the questions, and in the mail."""
    page.set_viewport_size(ViewportSize(width=width, height=640))
    now = asked(locale="nb")
    shown = everything(now)["choose"]
    page.set_content(shown.replace("</head>", f"<style>{stylesheet().decode()}</style></head>"))
    assert page.evaluate(_BROKEN) == []
    held = page.locator("fieldset tbody tr").first.inner_text()
    assert held.startswith("Betalingsopplysningene dine")
    page.set_content(
        render_mail(
            "choice",
            version=now.version,
            property_name=now.property_name,
            locale=now.locale,
            questions=now.questions,
            refused_before=frozenset(),
            published=now.published,
            public_url=SITE.public_url,
            sender=SITE.contact,
        ).html
    )
    assert page.evaluate(_BROKEN) == []


def test_both_answers_weigh_the_same(world: World, page: Page) -> None:
    """Allow and Don't allow have one look: colour, weight and size, in light and in dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(world.link("policies@people.test"))
        for pair in ("button[name=all]", "fieldset:first-of-type label"):
            looks = page.locator(pair).evaluate_all(
                """elements => elements.map(element => {
                    const style = getComputedStyle(element);
                    return [style.color, style.backgroundColor, style.fontWeight, style.fontSize,
                            style.borderTopColor, style.borderTopWidth].join('|');
                })"""
            )
            assert len(looks) >= 2
            assert len(set(looks)) == 1
