"""Telling languages apart by letters and frequent words: enough to warn of a text that is mixed up.

A guess is made only where it is clear. Nothing but warnings depends on it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Final

from babel import Locale, UnknownLocaleError
from babel.core import get_global

from reconsent.domain.locales import normal

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORD: Final = re.compile(r"[^\W\d_]+")
_FEWEST_WORDS: Final = 8
_FEWEST_LETTERS: Final = 20
_CLEARLY: Final = 0.22
"""The share of frequent words from which a language is recognized."""
_MANY_TIMES: Final = 3
_MOSTLY: Final = 0.7

_FREQUENT: Final[Mapping[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "da": "og at er på det vi du til af ikke dig med når kan om din dine vores som en der",
        "de": "der die das und wir sie ihre mit für nicht von zu ist werden oder wenn den ein ihr",
        "en": "the of and to we you your our that with this for are by from may is in it not if",
        "es": "el los las de y que nos usted sus para con una por se sus nuestros es son del al",
        "fi": "ja on että me sinun tai sekä ovat tietoja voi jos kun ei se tämä meidän",
        "fr": "le la les des et nous vous votre vos pour que dans est sur avec une nos ou du",
        "it": "il gli le di e che noi suoi per con una non sono della dei nostri dati del si",
        "nb": "og å som er på det vi du til av ikke deg med når kan om din dine våre en eller",
        "nl": "de het een en wij u uw voor met van niet zijn of dat is we je op te worden",
        "nn": "og å som er på det vi du til av ikkje deg med når kan om din dine våre ein eller",
        "pl": "i w z na że do są nie się oraz lub jest przez dla co od",
        "pt": "o os as de e que nós você seus para com uma por não do da dos são se nossos",
        "sv": "och att som är på det vi du till av inte dig med när kan om din dina våra en eller",
    }.items()
}
_ALPHABETS: Final[Mapping[str, frozenset[str]]] = {
    "Arab": frozenset({"ARABIC"}),
    "Cyrl": frozenset({"CYRILLIC"}),
    "Deva": frozenset({"DEVANAGARI"}),
    "Grek": frozenset({"GREEK"}),
    "Hans": frozenset({"CJK"}),
    "Hant": frozenset({"CJK"}),
    "Hebr": frozenset({"HEBREW"}),
    "Jpan": frozenset({"CJK", "HIRAGANA", "KATAKANA"}),
    "Kore": frozenset({"HANGUL", "CJK"}),
    "Latn": frozenset({"LATIN"}),
    "Thai": frozenset({"THAI"}),
}
_ALIKE: Final = frozenset({"CYRILLIC", "GREEK", "LATIN"})
"""Alphabets with letters that look the same."""


def other_language(text: str, locale: str) -> str | None:
    """Return the name, in English, of a language or alphabet that a text for a locale is in."""
    letters = Counter(_alphabet(letter) for letter in text if letter.isalpha())
    own = _ALPHABETS.get(_script(locale), frozenset())
    if own and letters.total() >= _FEWEST_LETTERS:
        [(alphabet, number)] = letters.most_common(1)
        # Names and addresses are in Latin letters everywhere.
        if alphabet not in {*own, "LATIN"} and number >= _MOSTLY * letters.total():
            return f"{alphabet.capitalize() if alphabet != 'CJK' else 'Chinese'} letters"
    words = [word.lower() for word in _WORD.findall(text)]
    language = normal(locale).partition("-")[0]
    is_known = language in _FREQUENT or (own and "LATIN" not in own)
    return _recognized(words, language) if is_known and len(words) >= _FEWEST_WORDS else None


def _recognized(words: list[str], language: str) -> str | None:
    """Return the language that words are clearly in, rather than in their own."""
    shares = {
        name: sum(word in frequent for word in words) / len(words)
        for name, frequent in _FREQUENT.items()
    }
    likely = max(shares, key=lambda name: shares[name])
    clearly = max(_CLEARLY, _MANY_TIMES * shares.get(language, 0))
    return str(Locale(likely).english_name) if shares[likely] >= clearly else None


def mixed_word(text: str) -> str | None:
    """Return the first word of letters of two alphabets that look the same, if there is one."""
    if text.isascii():
        return None
    for word in _WORD.findall(text):
        if len({_alphabet(letter) for letter in word} & _ALIKE) > 1:
            return str(word)
    return None


@cache
def _script(locale: str) -> str:
    """Return the script that a locale names or most likely has; empty if it is not known."""
    likely = get_global("likely_subtags")
    tag = normal(locale).replace("-", "_")
    try:
        found = Locale.parse(tag)
    except (UnknownLocaleError, ValueError):
        return ""
    if found.script:
        return str(found.script)
    known = likely.get(f"{found.language}_{found.territory}") or likely.get(found.language, "")
    return str(next((part for part in known.split("_") if len(part) == 4), ""))  # noqa: PLR2004


@cache
def _alphabet(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0].split("-")[0]
