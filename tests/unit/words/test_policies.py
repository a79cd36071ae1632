"""The pages of policies: what changed, what is in force, and texts that bring nothing but text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconsent.words.markdown import html
from reconsent.words.policies import policy_history, policy_version
from reconsent.words.views import PolicyHistoryView, PolicyVersionView
from tests.asked import FIRST, SITE, second
from tests.drafts import row
from tests.html import Page


def test_a_version_page_lists_its_changes() -> None:
    """New uses, dropped ones, who takes over, and what is kept longer, in sentences."""
    followed = second(
        declares=[
            row("user.payment", "essential.service.payment", retention="P1Y"),
            row("user.name", "marketing"),
        ]
    )
    version = second(
        version="v3",
        follows="v2",
        declares=[
            row("user.payment", "essential.service.payment", "analytics", retention="P7Y"),
        ],
    )
    view = PolicyVersionView(version=version, followed=followed, locale="en")
    page = Page(policy_version(view, SITE))
    section = page.one("section", **{"aria-labelledby": "changes"}).text
    assert "This is new We use your payment details to study how our services are used." in section
    assert "We no longer do this We use your name to send or show you marketing." in section
    assert "Kept longer than before Your payment details: 7 years" in section
    moved = replace(view, version=second(controller="adpartner"), followed=FIRST)
    assert (
        "Northlight Ads takes over the responsibility for your data from Example Inc."
        in Page(policy_version(moved, SITE)).text
    )


def test_who_is_responsible_and_who_uses_data_alone_is_told() -> None:
    """Joint controllers are named wherever the controller is; a partner's use is not ours."""
    version = second(
        joint_controllers=["adpartner"],
        declares=[
            row("user", "essential.service"),
            row("user.payment", "analytics", recipients=["payer"], controller=False),
        ],
    )
    page = Page(
        policy_version(PolicyVersionView(version=version, followed=FIRST, locale="en"), SITE)
    )
    both = "Example Inc. (Canada) and Northlight Ads (Germany)"
    assert page.one("footer").text.startswith(both)
    first, other = page.one("dl", **{"class": "rows"}).text.split("Your payment details")
    assert "Also by Northlight Ads (Germany)." in first
    assert "Only by payer." in other
    assert "We use your payment details" not in page.text
    moved = second(controller="adpartner", joint_controllers=["example"])
    page = Page(policy_version(PolicyVersionView(version=moved, followed=FIRST, locale="en"), SITE))
    assert "takes over" not in page.text


def test_a_first_version_changed_nothing() -> None:
    """A first version lists no changes."""
    page = Page(policy_version(PolicyVersionView(version=FIRST, followed=None, locale="en"), SITE))
    assert not page.all("section", **{"aria-labelledby": "changes"})


def test_the_history_names_the_version_in_force() -> None:
    """The latest version comes first; the one in force is marked."""
    view = PolicyHistoryView(versions=(FIRST, second()), in_force="v1", locale="en")
    page = Page(policy_history(view, SITE))
    assert [element.text for element in page.all("h2")] == [
        "From 15 January 2027",
        "From 1 May 2013 In force now",
    ]
    assert len(page.all("a", href="/policies/campaigner/v1")) == 1


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<img src="x" onerror="alert(1)">',
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "![pixel](https://tracker.example/x.png)",
        '<a href="https://x.example" style="color:red" onclick="x()">x</a>',
        "<style>body{display:none}</style>",
    ],
)
def test_a_policys_text_brings_nothing_but_text(hostile: str) -> None:
    """Markdown cannot add a script, style, picture or script link."""
    page = Page(f"<body>{html(hostile)}</body>")
    assert {element.tag for element in page.elements} <= {"body", "p", "a"}
    for element in page.elements:
        assert element.attributes.keys() <= {"href", "rel"}
        assert not (element.attributes.get("href") or "").startswith(("javascript:", "data:"))


def test_a_policys_headings_stand_below_the_pages_own() -> None:
    """A text that starts at the first level is moved down by one; others stay."""
    for text in ("# A\n\n## B", "## A\n\n### B"):
        assert '<h2 id="a">A</h2>\n<h3 id="b">B</h3>' in html(text)
