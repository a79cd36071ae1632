"""What readers of a policy's words would stumble over: warnings for its author."""

from __future__ import annotations

import re
import unicodedata
from html import unescape
from typing import TYPE_CHECKING, Final

from babel import Locale

from reconsent.domain.locales import match, normal
from reconsent.domain.mail import CHOOSE_LINK, UNSUBSCRIBE_LINK
from reconsent.words.languages import mixed_word, other_language
from reconsent.words.markdown import AS_TEXT, dead_ends, paragraphs, shown, tags
from reconsent.words.phrases import LONGEST_SUMMARY
from reconsent.words.translation import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconsent.words.markdown import Flaw

_PLACEHOLDER: Final = re.compile(
    r"""
    \{\{.{0,99}?\}\} | \{%.{0,99}?%\} | \$\{[^}]{0,99}\} | <%.{0,99}?%>
    | %[A-Za-z][A-Za-z0-9_]{0,99}%
    | \[(?!\^)(?:[A-ZÆØÅÄÖÜ][A-ZÆØÅÄÖÜ0-9 _/.&'-]{2,99}
      | (?i:insert|your|company|name|date|address|e-?mail|fill|sett\s+inn|navn|dato|firma)
        \b[^\]\n]{0,60})\](?![(\[:])
    | <(?!-)[A-Z][A-Z _-]{2,99}>
    | \[\[[^\[\]\n]{1,99}\]\](?!\() | \{:[^{}\n]{1,99}\}
    | \b(?:TODO|TBD|FIXME|XXX)\b | \b(?i:lorem\s+ipsum)\b | (?<=[\w:]\s)_{4,}
    """,
    re.VERBOSE,
)
_LINKS: Final = frozenset({CHOOSE_LINK, UNSUBSCRIBE_LINK})
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_WRITING: Final = frozenset("\u00ad\u061c\u200c\u200d\u200e\u200f")
"""Invisible, but a part of how words, some scripts and emoji are written."""
_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180e\u3164\uffa0")
_BREAKS: Final = frozenset("\n\r\v\f\x85\u2028\u2029")
_NO_COUNTRIES: Final = frozenset(
    {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}
)
"""Codes of two letters that CLDR has names for, and ISO 3166 no country."""
_CONTROLS: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
_DEFINED: Final = re.compile(r"^ {0,3}(\[[^\]\n]+\]):", re.MULTILINE)


def of_body(text: str, locale: str) -> Iterator[Flaw]:
    """Yield the flaws of a Markdown text, with their lines."""
    yield from dead_ends(text)
    source = shown(text)
    defined = frozenset(_DEFINED.findall(source))
    for number, line in enumerate(source.split("\n"), 1):
        for message in _of_line(line, defined):
            yield number, message
    others: dict[str, list[int]] = {}
    for start, paragraph in paragraphs(text):
        if other := other_language(paragraph, locale):
            others.setdefault(other, []).append(start)
    for other, lines in others.items():
        more = f", and {len(lines) - 1} more like it" if len(lines) > 1 else ""
        yield lines[0], f"this paragraph seems to be in {other}, in a text for {locale}{more}"
    if "<!--" in text and _is_left_open(text):
        opened = text[: text.rindex("<!--")].count("\n") + 1
        yield opened, "the comment that begins here is never closed: all that follows is not shown"


def of_words(text: str, locale: str | None, *, is_summary: bool = False) -> Iterator[str]:
    """Yield the flaws of a title, summary, name or phrase."""
    for line in text.split("\n"):
        yield from _of_line(line)
    if "<!--" in text:
        yield "holds an HTML comment, which is not shown"
    yield from (f"{tag} {AS_TEXT}" for tag in tags(text))
    if locale and (other := other_language(text, locale)):
        yield f"seems to be in {other}, in a text for {locale}"
    if is_summary and len(text) > LONGEST_SUMMARY:
        yield f"is longer than {LONGEST_SUMMARY} characters: mails show only its beginning"


def never_meant(text: str, *, lines: bool = False) -> Iterator[str]:
    """Yield what no title, name or phrase can mean to hold; a summary may have several lines."""
    found = sorted(set(text))
    if not lines and any(character in _BREAKS for character in found):
        yield "has a line break: write it on one line"
    for character in found:
        if character in _BREAKS:
            continue
        if character in _TURNING:
            yield f"contains {_named(character)}, which turns text around"
        elif unicodedata.category(character) == "Cc":
            yield f"contains {_named(character)}, a control character"


def foreign(locale: str) -> str | None:
    """Return that sentences around a text would be in another language than that of its locale."""
    if match(locale, LANGUAGES):
        return None
    return (
        f"mails and pages have sentences of their own in {' and '.join(LANGUAGES)} only: around"
        f" this text they would be in {LANGUAGES[0]}"
    )


def canonical(locale: str) -> str:
    """Return a locale as it is compared: in one spelling."""
    return normal(locale)


def is_country(code: str) -> bool:
    """Tell whether a country has this code in ISO 3166; Kosovo has one for the time being."""
    return code.isalpha() and code in Locale("en").territories and code not in _NO_COUNTRIES


def _is_left_open(text: str) -> bool:
    return "-->" not in text[text.rindex("<!--") :]


def _of_line(line: str, defined: frozenset[str] = frozenset()) -> Iterator[str]:
    line = unescape(line)
    for found in dict.fromkeys(one[0] for one in _PLACEHOLDER.finditer(line)):
        if found in defined:
            continue
        if found in _LINKS:
            yield f"{found} becomes each person's own link in mails"
        else:
            yield f"{found} looks like a placeholder that nobody filled in"
    for character in sorted(set(filter(_is_hidden, line)) - {"\t"}):
        what = "turns text around" if character in _TURNING else "cannot be seen"
        yield f"contains {_named(character)}, which {what}"
    if word := mixed_word(line):
        yield f"the word {word!r} has letters of two alphabets that look the same"


def _is_hidden(character: str) -> bool:
    if character in _WRITING:
        return False
    return character in _INVISIBLE or unicodedata.category(character) in _CONTROLS


def _named(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}" + (f" ({name})" if name else "")
