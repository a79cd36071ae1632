"""Pages: equal answers, nothing preselected, readable by everyone, and nothing fetched."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from reconsent.domain.use import Use
from reconsent.words import choosing
from reconsent.words.views import ReceiptView
from tests.asked import SITE, asked, said, second
from tests.drafts import row
from tests.html import Page
from tests.pages import choose, everything


def test_one_form_asks_each_question_with_equal_answers() -> None:
    """A fieldset a question, two radio buttons of which none is checked, one form to post."""
    page = Page(choose())
    assert page.one("form").attributes == {"method": "post"}
    assert page.one("input", type="hidden").attributes["value"] == "mark-of-the-page"
    fieldsets = page.all("fieldset")
    assert [(f.attributes["data-use"], f.attributes["data-recipient"]) for f in fieldsets] == [
        (question.data_use, question.recipient) for question in asked().questions
    ]
    for question in asked().questions:
        radios = page.all("input", type="radio", name=choosing.field_name(question))
        assert [radio.attributes["value"] for radio in radios] == ["allow", "deny"]
    assert not [
        e for e in page.elements if e.attributes.keys() & {"checked", "autofocus", "required"}
    ]


def test_both_answers_to_all_weigh_the_same() -> None:
    """The two buttons that answer all differ in value and words, in nothing else."""
    allow, deny = Page(choose()).all("button", name="all")
    assert (allow.attributes.pop("value"), deny.attributes.pop("value")) == ("allow", "deny")
    assert allow.attributes == deny.attributes
    assert (allow.text, deny.text) == ("Allow all", "Don't allow any")


def test_each_question_says_what_it_is_about() -> None:
    """Each question lists the data that we hold and the versions it was collected under."""
    first, *_ = Page(choose()).all("fieldset")
    assert "measure how our services are used?" in first.text
    assert "Your payment details" in first.text
    assert "version v1, from 1 May 2013" in first.text


def test_what_we_hold_is_folded_when_it_is_long() -> None:
    """A question about much data shows a summary that unfolds."""
    held = [(f"user.{name}", "v1") for name in ("name", "job_title", "device", "payment")]
    version = second(declares=[row("user", "analytics")])
    assert Page(choose(asked(version, *held))).all("details")
    assert not Page(choose(asked(version, *held[:3]))).all("details")


def test_the_names_of_fields_do_not_depend_on_what_else_is_asked() -> None:
    """A form opened before the ask grew still means the same questions."""
    few = {choosing.field_name(q) for q in asked(None, ("user.payment", "v1")).questions}
    many = {choosing.field_name(q) for q in asked().questions}
    assert few < many
    assert len(many) == len(asked().questions)


def test_the_text_that_is_asked_is_the_same_for_everyone_and_shown_verbatim() -> None:
    """The page contains the block whose hash is kept word for word, for every reader."""
    now = asked()
    block = choosing.question_block(now)
    assert block == choosing.question_block(asked())
    pieces = [piece for piece in re.split(r"\n(?=<fieldset)", block) if piece]
    assert len(pieces) == 1 + len(now.questions)
    for html in (everything(now)["choose"], everything(now)["choose again"]):
        positions = [html.index(piece) for piece in pieces]
        assert positions == sorted(positions)
    assert block != choosing.question_block(asked(locale="nb"))
    assert block != choosing.question_block(asked(property_name="myfax.example"))


def test_earlier_answers_are_shown_with_their_question() -> None:
    """The page to change an answer shows what it was, and when; still no button is checked."""
    now = asked()
    html = choose(now, said=said(now, "deny"))
    page = Page(html)
    (note,) = page.all("p", **{"class": "said"})
    assert note.text == "You said on 3 November 2026: Don't allow"
    assert html.index("You said on") < html.index(f'data-use="{now.questions[0].data_use}"')
    assert "checked" not in html


def test_a_question_broader_than_a_no_says_so() -> None:
    """Only the question that an earlier no meets mentions it."""
    no = Use("user.contact.email", "*", "marketing.communications.email", "*")
    page = Page(choose(refused_before=frozenset({no})))
    (note,) = page.all("p", **{"class": "said"})
    assert note.text.startswith("You have said no to part of this before.")


def test_an_empty_answer_leads_to_the_first_question() -> None:
    """The summary of errors links to a field that is there."""
    page = Page(choose(nothing_chosen=True))
    (link,) = [a for a in page.all("a") if (a.attributes["href"] or "").startswith("#q-")]
    assert len(page.all("input", id=(link.attributes["href"] or "")[1:])) == 1
    assert page.one("title").text.startswith("Error:")


def test_a_changed_question_says_that_nothing_was_saved() -> None:
    """A message above the new question says that the older one was answered."""
    page = Page(choose(question_changed=True))
    assert "we have saved nothing" in page.one("div", role="alert").text


def test_a_single_question_is_not_spoken_of_as_many() -> None:
    """The words for one question mention neither `all` nor several questions."""
    page = Page(choose(asked(None, ("user.contact.email", "v1"))))
    assert [button.text for button in page.all("button")] == [
        "Save my answer",
        "Allow",
        "Don't allow",
    ]


def test_the_receipt_shows_each_answer_and_when_a_yes_begins() -> None:
    """It shows the answer, its time in the reader's zone, and from when a yes counts."""
    now = asked()
    view = ReceiptView(
        version=now.version,
        property_name=now.property_name,
        locale="en",
        answers=said(now, "allow", "deny", "expired"),
        change_url="/c/token",
        time_zone="Europe/Oslo",
    )
    page = Page(choosing.receipt(view, SITE))
    told = [element.text for element in page.all("dd")]
    time = "3 November 2026, 14:05 UTC+01:00"
    assert told == [
        f"Allow {time} Your yes counts from 15 January 2027.",
        f"Don't allow {time}",
        f"No answer: this counts as a no {time}",
    ]
    assert len(page.all("a", href="/c/token")) == 1
    late = replace(view.answers[0], said_at=datetime(2027, 2, 1, tzinfo=UTC))
    assert "counts from" not in choosing.receipt(replace(view, answers=(late,)), SITE)
    declared_before = replace(view.answers[0], counts_from=datetime(2020, 1, 1, tzinfo=UTC))
    assert "counts from" not in choosing.receipt(replace(view, answers=(declared_before,)), SITE)
    undeclared = replace(view.answers[0], counts_from=None)
    assert "counts from" not in choosing.receipt(replace(view, answers=(undeclared,)), SITE)


def test_unsubscribing_takes_one_sentence_and_one_button() -> None:
    """The form has no fields; the page says what unsubscribing does not decide."""
    page = Page(everything(asked())["unsubscribe"])
    assert page.one("form").attributes == {"method": "post"}
    assert not page.all("input")
    assert page.one("button").text == page.one("h1").text == "Unsubscribe"
    assert "no more news about the policy of campaigner.example" in page.one("main").text
    assert "This decides nothing about how we use your data." in page.one("main").text


def test_an_unsubscribe_gets_a_short_receipt() -> None:
    """It says that it is done, and can be taken back by one button."""
    page = Page(everything(asked(locale="nb"))["unsubscribed"])
    assert page.one("h1").text == "Du er meldt av"
    assert (
        "Dette avgjør ingenting om hvordan vi bruker opplysningene dine." in page.one("main").text
    )
    assert page.one("form").attributes == {"method": "post", "action": "token/again"}
    assert page.one("button").text == "Jeg vil ha dem igjen"
