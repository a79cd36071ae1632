"""Warnings about texts: what their readers would stumble over, and nothing else."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.words.flaws import of_body, of_words

NORWEGIAN: Final = (
    "Vi lagrer opplysningene dine så lenge du har en konto hos oss, "
    "og sletter dem når du ber om det."
)
ENGLISH: Final = (
    "We keep your data for as long as you have an account with us, and erase it when you ask."
)
RUSSIAN: Final = "Мы храним ваши данные, пока вы пользуетесь нашими услугами"


def _about(text: str, locale: str = "en") -> list[tuple[int, str]]:
    return list(of_body(text, locale))


@pytest.mark.parametrize(
    "placeholder",
    ["{{ company }}", "{% include x %}", "${NAME}", "<%= name %>", "%company%", "[COMPANY]",
     "[COMPANY NAME]", "[Your Company]", "[insert date]", "<COMPANY NAME>", "TODO", "Lorem ipsum",
     "[sett inn navn]", "[[toc]]", "{:toc}"],
)  # fmt: skip
def test_placeholders_that_nobody_filled_in_are_found(placeholder: str) -> None:
    """In a text with their line, and in titles, summaries, names and phrases."""
    [(line, message)] = _about(f"# Privacy\n\nWe at {placeholder} care.")
    assert line == 3
    assert message.endswith("looks like a placeholder that nobody filled in")
    assert list(of_words(f"By {placeholder}.", "en")) == [message]


@pytest.mark.parametrize(
    ("html", "tags"),
    [('See <a href="https://a.example">our page</a>.', ['<a href="https://a.example">']),
     ("<details><summary>More</summary>\n\n- one\n\n</details>", ["<details>", "<summary>"]),
     ("Dear <name>", ["<name>"]), ("H<sub>2</sub>O<br>", ["<sub>"])],
)  # fmt: skip
def test_html_that_people_would_read_as_it_is_written_is_found(html: str, tags: list[str]) -> None:
    """Each tag that opens something; no line breaks, which work, and no tags in code."""
    assert _about(f"# Privacy\n\n{html}\n\n`<b>`, &lt;i&gt;, <https://a.example>") == [
        (3, f"{tag} is shown as it is written, as text") for tag in tags
    ]


def test_html_in_titles_and_summaries_is_found() -> None:
    """Which are shown as they are written, like names and phrases."""
    assert list(of_words("We <b>would like</b> to<br>write", "en", is_summary=True)) == [
        "<b> is shown as it is written, as text",
        "<br> is shown as it is written, as text",
    ]
    assert list(of_words("a < b and c > d, <3", None)) == []


def test_marks_of_mails_are_not_for_texts() -> None:
    """A placeholder of mails would become somebody's own link."""
    for mark in ("%choose_link%", "%unsubscribe_link%"):
        assert list(of_words(f"Click {mark}", "en")) == [
            f"{mark} becomes each person's own link in mails"
        ]


@pytest.mark.parametrize(
    "fine",
    ["[GDPR](https://gdpr.example)", "[GDPR][1]\n\n[1]: https://a.example", "50 % of 100 %",
     "[GDPR]\n\n[GDPR]: https://gdpr.example", "{a set}", "[x]", "A[^NOTE]\n\n[^NOTE]: b", "$5",
     "<https://A.EXAMPLE>", "____", "```\na --> b\n```", "Soft\u00adhyphens", "a&nbsp;b &amp; c",
     "\u0645\u06cc\u200c\u062e\u0648", "\U0001f469\u200d\U0001f467", "\u200f\u05e2\u05d1\u200f"],
)  # fmt: skip
def test_what_is_in_order_is_not_warned_of(fine: str) -> None:
    """Links, footnotes, sums, and the invisible signs that scripts and emoji need."""
    assert _about(fine) == []


@pytest.mark.parametrize(
    ("character", "message"),
    [
        ("\u202e", "contains U+202E (RIGHT-TO-LEFT OVERRIDE), which turns text around"),
        ("\u2066", "contains U+2066 (LEFT-TO-RIGHT ISOLATE), which turns text around"),
        ("\u200b", "contains U+200B (ZERO WIDTH SPACE), which cannot be seen"),
        ("\ufeff", "contains U+FEFF (ZERO WIDTH NO-BREAK SPACE), which cannot be seen"),
        ("\x07", "contains U+0007, which cannot be seen"),
        ("\U000e0041", "contains U+E0041 (TAG LATIN CAPITAL LETTER A), which cannot be seen"),
    ],
)
def test_signs_that_deceive_are_found(character: str, message: str) -> None:
    """Signs that turn text around, and those that nobody can see."""
    assert _about(f"Fine.\nPaid{character}by us") == [(2, message)]
    assert list(of_words(f"Paid{character}by us", "en")) == [message]
    if character.isprintable() or ord(character) > 0x7F:
        assert _about(f"Paid&#{ord(character)};by us") == [(1, message)]


def test_words_of_two_alphabets_are_found() -> None:
    """A Cyrillic letter in a Latin word looks right and is not."""
    [(line, message)] = _about("Fine.\n\nWrite to p\u0430ypal.example")
    assert line == 3
    assert "two alphabets" in message


@pytest.mark.parametrize(
    ("text", "locale", "found"),
    [
        (ENGLISH, "nb", "English"),
        (NORWEGIAN, "en", "Norwegian"),
        (NORWEGIAN, "de", "Norwegian"),
        (RUSSIAN, "en", "Cyrillic letters"),
        ("我們會保留您的資料直到您刪除帳戶為止並依照您的要求", "en", "Chinese letters"),
        (ENGLISH, "zh-TW", "English"),
        (RUSSIAN, "ru", None),
        (ENGLISH, "en-GB", None),
        (NORWEGIAN, "nb", None),
        (NORWEGIAN, "no", None),
        (NORWEGIAN, "da", None),
        ("我們會保留您的資料直到您刪除帳戶為止並依照您的要求", "zh-TW", None),
        (
            "Example Communications Inc., 1 Main Street, Springfield, Illinois, USA, 62701",
            "nb",
            None,
        ),
        ("privacy@example.com, https://example.com/privacy/policies/2027/full/text", "ja", None),
        (ENGLISH, "tlh", None),
    ],
)
def test_paragraphs_in_another_language_are_found(
    text: str, locale: str, found: str | None
) -> None:
    """Where it is clear; related languages, names and addresses are left alone."""
    flaws = _about(f"# A\n\n{text}\n\n{text}", locale)
    expected = f"this paragraph seems to be in {found}, in a text for {locale}, and 1 more like it"
    if found and found != "Norwegian":
        assert flaws == [(3, expected)]
    assert bool(flaws) == bool(found)
    summary = list(of_words(text, locale, is_summary=True))
    assert bool(summary) == bool(found)


def test_a_comment_that_is_never_closed_is_warned_of() -> None:
    """It hides the rest of the text."""
    [(line, message)] = _about("a\n\n<!-- b --> c <!-- d\n\ne")
    assert line == 3
    assert "never closed" in message
    assert list(of_words("a <!-- b -->", "en")) == ["holds an HTML comment, which is not shown"]


def test_a_summary_that_mails_cut_is_warned_of() -> None:
    """Only the summary has a length of its own."""
    assert "mails show only its beginning" in next(
        iter(of_words("x" * 1001, "en", is_summary=True))
    )
    assert list(of_words("x" * 1000, "en", is_summary=True)) == []
    assert list(of_words("x" * 1001, "en")) == []


@given(st.text(), st.sampled_from(["en", "nb", "zh-Hant", "he", "x", "zz-ZZ"]))
def test_any_text_can_be_judged(text: str, locale: str) -> None:
    """No text is too odd, and every line that is named exists."""
    lines = text.count("\n") + 1
    assert all(1 <= line <= lines for line, _ in of_body(text, locale))
    assert all(of_words(text, locale))
