"""A page's form, as a browser without JavaScript processes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

from typing_extensions import override


@dataclass(kw_only=True)
class Question:
    """A fieldset: the use and recipient it asks about, and its radio buttons by value."""

    use: str
    recipient: str
    text: str = ""
    radios: dict[str, str] = field(default_factory=dict)
    checked: bool = False


@dataclass(kw_only=True)
class Page:
    """The form of a page."""

    forms: int = 0
    method: str = ""
    action: str = ""
    hidden: dict[str, str] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    submits: list[tuple[str | None, str | None]] = field(default_factory=list)
    language: str = ""

    @classmethod
    def of(cls, html: str) -> Page:
        """Parse a page's form."""
        reader = _Reader()
        reader.feed(html)
        reader.close()
        return reader.page

    @property
    def asks(self) -> set[tuple[str, str]]:
        """The (use, recipient) of each question."""
        return {(question.use, question.recipient) for question in self.questions}

    def filled(self, answers: Mapping[tuple[str, str], str]) -> dict[str, str]:
        """Return what the main button submits with these answers."""
        names = {(q.use, q.recipient): q.radios for q in self.questions}
        unasked = answers.keys() - names
        assert not unasked, f"the page does not ask {unasked}"
        return self.hidden | {names[about][answer]: answer for about, answer in answers.items()}

    def all_alike(self, answer: str) -> dict[str, str]:
        """Return what the button for one answer to all questions submits."""
        assert ("all", answer) in self.submits
        return self.hidden | {"all": answer}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._question: Question | None = None

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        page = self.page
        if tag == "html":
            page.language = given.get("lang", "")
        elif tag == "form":
            page.forms += 1
            page.method, page.action = given.get("method", "get"), given.get("action", "")
        elif tag == "fieldset":
            self._question = Question(use=given["data-use"], recipient=given["data-recipient"])
            page.questions.append(self._question)
        elif tag == "input" and given.get("type") == "hidden":
            page.hidden[given["name"]] = given["value"]
        elif tag == "input" and given.get("type") == "radio":
            assert self._question is not None
            self._question.radios[given["value"]] = given["name"]
            self._question.checked |= "checked" in given
        elif tag == "button" and given.get("type", "submit") == "submit":
            page.submits.append((given.get("name"), given.get("value")))

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag == "fieldset":
            self._question = None

    @override
    def handle_data(self, data: str) -> None:
        if self._question is not None:
            self._question.text += data


def hrefs(html: str) -> list[str]:
    """Return the targets of a document's links."""
    found: list[str] = []

    class Links(HTMLParser):
        @override
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attrs if tag == "a" and name == "href")

    Links().feed(html)
    return found
