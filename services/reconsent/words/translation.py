"""The program's own sentences and phrases, in each supported language.

Sentences are gettext messages: English is in the code and templates, other languages are in
templates/locale/<language>/LC_MESSAGES/reconsent.po. Phrases for common keys are in
templates/locale/<language>/phrases.yaml.
"""

from __future__ import annotations

import re
from datetime import timedelta, timezone
from functools import cache
from html import escape
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Final

import yaml
from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment, PackageLoader, StrictUndefined

from reconsent.domain.locales import best_of, is_locale, match, normal
from reconsent.words.zones import offset, zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from importlib.resources.abc import Traversable

LANGUAGES: Final = ("en", "nb")
"""The languages of the program's own sentences, the fallback first."""

_INITIAL: Final = re.compile(r"(?<![\w-])[^\W\d_]-[^\W\d_]+")
_NOWHERE: Final = timezone(timedelta(hours=-23))
_LOCALE: Final = files("reconsent.templates") / "locale"


def language_of(locale: str) -> str:
    """Return the language of the program's own sentences for a locale; English if none matches."""
    return match(locale, LANGUAGES) or LANGUAGES[0]


def own_language(wanted: str | None) -> str:
    """Return the best of LANGUAGES for a locale or an Accept-Language header."""
    return best_of(wanted, LANGUAGES) or LANGUAGES[0]


def calendar(locale: str) -> Locale:
    """Return the conventions for dates and lists: one of LANGUAGES, with the locale's region.

    English without a region follows the international conventions (en-001).
    """
    language = language_of(locale)
    try:
        found = Locale.parse(normal(locale), sep="-")
    except (UnknownLocaleError, ValueError):
        found = None
    if found is None or found.language != language:
        found = Locale(language)
    return Locale("en", "001") if found == Locale("en") else found


def autonym(locale: str) -> str:
    """Return a language's name in that language; an unknown locale is returned as written."""
    try:
        return Locale.parse(normal(locale), sep="-").get_display_name() or locale
    except (UnknownLocaleError, ValueError):
        return locale


def exists(field: str, name: str) -> bool:
    """Tell whether there is a locale, or else a time zone, of a name."""
    return is_locale(name) if field == "locale" else zone(name, _NOWHERE) is not _NOWHERE


def moment(at: datetime, written: Locale) -> str:
    """Format a time to the minute with its offset."""
    return f"{format_date(at, 'long', locale=written)}, {at:%H:%M} {offset(at)}"


@cache
def catalogue(language: str) -> NullTranslations:
    """Read the program's sentences in one of LANGUAGES."""
    source = _LOCALE / language / "LC_MESSAGES" / "reconsent.po"
    if not source.is_file():  # the messages are written in English
        return NullTranslations()
    compiled = BytesIO()
    with source.open("rb") as opened:
        write_mo(compiled, read_po(opened, locale=language))
    compiled.seek(0)
    return Translations(compiled)


@cache
def phrases(language: str) -> Mapping[str, str]:
    """Read the program's phrases for common keys in one of LANGUAGES."""
    table = yaml.safe_load((_LOCALE / language / "phrases.yaml").read_text("utf-8"))
    return {str(key): str(phrase) for key, phrase in table.items()}


@cache
def environment(language: str, *, html: bool) -> Environment:
    """Return the template environment for one of LANGUAGES.

    Values are escaped in HTML and not in plain text. An undefined name is an error.
    """
    templates = Environment(
        loader=PackageLoader("reconsent.templates", ""),
        autoescape=html,  # noqa: S701 (plain text must not be escaped)
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.policies["ext.i18n.trimmed"] = True
    templates.filters["whole"] = whole
    templates.install_gettext_translations(  # type: ignore[attr-defined]
        catalogue(language), newstyle=True
    )
    return templates


def whole(text: str) -> str:
    """Return a text as HTML in which no line ends after a word's first letter, as in `e-mail`."""
    return _INITIAL.sub(r'<span class="whole">\g<0></span>', escape(text))


def sources(*folders: str) -> Iterable[tuple[str, bytes]]:
    """Yield the path and content of every file below some template folders, in a fixed order."""
    root = files("reconsent.templates")
    for folder in folders:
        yield from _below(root / folder, folder)


def _below(folder: Traversable, path: str) -> Iterable[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = f"{path}/{entry.name}"
        if entry.is_dir():
            yield from _below(entry, name)
        else:
            yield name, entry.read_bytes()
