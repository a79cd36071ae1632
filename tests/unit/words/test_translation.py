"""The program's own sentences: each is translated into every language."""

from __future__ import annotations

import re
from importlib.resources import files
from io import BytesIO
from typing import Final

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from reconsent.words import translation

_KEYWORDS: Final = {"_": None, "_say": None, "gettext": None, "ngettext": (1, 2), "say": (1, 2)}
_OPTIONS: Final = {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true"}
_PLACE: Final = re.compile(r"%\((\w+)\)[sd]")


def _said() -> Catalog:
    """Collect every sentence in the code and the templates."""
    found = Catalog()
    for path, content in translation.sources("email", "pages"):
        if path.endswith((".txt", ".html", ".mjml")):
            for _, message, _, _ in extract("jinja2", BytesIO(content), _KEYWORDS, (), _OPTIONS):
                found.add(message)
    for entry in (files("reconsent") / "words").iterdir():
        if entry.name.endswith(".py"):
            code = BytesIO(entry.read_bytes())
            for _, message, _, _ in extract("python", code, _KEYWORDS):
                found.add(message)
    return found


def _translated(language: str) -> Catalog:
    source = files("reconsent.templates") / f"locale/{language}/LC_MESSAGES/reconsent.po"
    return read_po(BytesIO(source.read_bytes()), locale=language, abort_invalid=True)


def _forms(entry: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (entry,) if isinstance(entry, str) else tuple(entry or ())


@pytest.mark.parametrize("language", ["nb"])
def test_every_sentence_is_translated_and_none_is_left_over(language: str) -> None:
    """Every English sentence is translated, and no translation is unused."""
    said = {message.id for message in _said() if message.id}
    known = {message.id for message in _translated(language) if message.id}
    assert said - known == set()
    assert known - said == set()


@pytest.mark.parametrize("language", ["nb"])
def test_every_translation_is_complete(language: str) -> None:
    """No translation is empty or fuzzy, and each has the placeholders of the English."""
    for message in _translated(language):
        if message.id:
            assert not message.fuzzy
            for english, form in zip(_forms(message.id), _forms(message.string), strict=True):
                assert form
                assert set(_PLACE.findall(form)) == set(_PLACE.findall(english))


def test_the_sentences_are_found() -> None:
    """The search finds sentences in mails, pages and code."""
    said = {_forms(message.id)[0] for message in _said() if message.id}
    assert {"Collected under", "Save my answer", "May we use %(data)s to %(use)s?"} <= said
