"""Keys, parties and dates in the words that people read.

Sentences and the phrases in them are in the locale's language if it is supported, otherwise in
English. One exception: where English has only a parent's phrase, the policy's own phrase is used,
because it is more specific. A policy's texts stay in the locale they were written in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, Final

from babel.dates import format_date
from babel.lists import format_list

from reconsent.domain.locales import match
from reconsent.domain.use import ANY, meet
from reconsent.words.markdown import without_comments
from reconsent.words.translation import LANGUAGES, calendar, catalogue, language_of, moment, phrases
from reconsent.words.zones import readers_zone

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from babel import Locale
    from babel.support import NullTranslations

    from reconsent.domain.notice import Question
    from reconsent.domain.policy import PolicyVersion, Text
    from reconsent.domain.use import Declared, Held, Use

_PERIOD: Final = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?.*)?")

LONGEST_SUMMARY: Final = 1000
"""The most characters of a summary that a mail shows."""
_LONGEST_TITLE: Final = 150
_LONGEST_PHRASE: Final = 200
_MOST_NAMED: Final = 5
"""The most kinds of data that a sentence in a mail names; its table has them all."""


def phrase_of(key: str, locale: str) -> tuple[str, str] | None:
    """Return the key or nearest parent that the program has a phrase for in a locale, and that."""
    table = phrases(language_of(locale))
    return next(((name, table[name]) for name in _lineage(key) if name in table), None)


def _lineage(key: str) -> Iterable[str]:
    """Yield a dotted key and its parents, nearest first."""
    while key:
        yield key
        key = key.rpartition(".")[0]


@dataclass(frozen=True, kw_only=True)
class CollectedUnder:
    """The version that data was collected under (None if unknown), and its wording."""

    version: str | None
    text: str


@dataclass(frozen=True, kw_only=True)
class HeldRow:
    """A row of held data: its wording, and the versions it was collected under."""

    data: str
    collected_under: tuple[CollectedUnder, ...]


@dataclass(frozen=True, kw_only=True)
class Words:
    """A policy version in the words of one of its locales.

    With `brief`, for mails, each text is cut to a length that leaves room for all the others.
    """

    version: PolicyVersion
    locale: str
    brief: bool = False

    @cached_property
    def language(self) -> str:
        """The language of the sentences around the policy's own texts."""
        return language_of(self.locale)

    @cached_property
    def catalogue(self) -> NullTranslations:
        """The program's own sentences."""
        return catalogue(self.language)

    @cached_property
    def text(self) -> Text:
        """The version's title, summary and body."""
        text = self.version.texts[self.locale]
        shown = {
            "title": self._cut(without_comments(text.title), _LONGEST_TITLE),
            "summary": self._cut(without_comments(text.summary), LONGEST_SUMMARY),
        }
        return text.model_copy(update=shown)

    @cached_property
    def calendar(self) -> Locale:
        """How dates and lists are written."""
        return calendar(self.locale)

    @cached_property
    def _tables(self) -> list[Mapping[str, str]]:
        """The phrases for the locale's sentences, the policy's first; then those of the locale."""
        wanted = self.locale if match(self.locale, LANGUAGES) else self.language
        own, given = match(wanted, self.version.words), self.version.words
        tables = [*([given[own]] if own else []), phrases(self.language)]
        return [*tables, given[self.locale]] if self.locale in given else tables

    def phrase(self, key: str) -> str:
        """Return the phrase of a category or use, else of its nearest parent, else the key."""
        if key == ANY:
            return self._say("any of your data")
        known = (table[name] for name in _lineage(key) for table in self._tables if name in table)
        return self._cut(next(known, key))

    def legal_basis(self, basis: str) -> str:
        """Return the phrase for a legal basis, or else the basis as written."""
        return phrases(self.language).get(f"legal_basis.{basis}", basis)

    def party(self, key: str) -> str:
        """Return a party's name, or its key if the policy does not name it."""
        named = self.version.parties.get(key)
        return self._cut(named.name if named else key)

    def party_and_country(self, key: str) -> str:
        """Return a party's name, with its country in parentheses if the policy gives one."""
        country = self.country(key)
        return f"{self.party(key)} ({country})" if country else self.party(key)

    def country(self, key: str) -> str | None:
        """Return the name of a party's country, or None if the policy gives none."""
        named = self.version.parties.get(key)
        if named is None or named.country is None:
            return None
        return str(self.calendar.territories.get(named.country, named.country))

    @property
    def controller(self) -> str:
        """The name of the company that asks."""
        return self.party(self.version.controller)

    @property
    def controllers(self) -> str:
        """The companies that are responsible, with their countries."""
        named = [self.party_and_country(key) for key in self.version.controllers]
        return self._cut(self.listed(named), 2 * _LONGEST_PHRASE) if len(named) > 1 else named[0]

    def data(self, categories: Iterable[str]) -> str:
        """Return categories as one phrase: your name, your email address and your messages."""
        named = list(dict.fromkeys(self.phrase(category) for category in dict.fromkeys(categories)))
        if self.brief and len(named) > _MOST_NAMED:
            more = len(named) - _MOST_NAMED + 1
            form = self.catalogue.ngettext(
                "%(num)d more kind of data", "%(num)d more kinds of data", more
            )
            named[-more:] = [form % {"num": more}]
        return self.listed(named)

    def listed(self, parts: Iterable[str]) -> str:
        """Join phrases without repetitions: this, that and the other."""
        return str(format_list(list(dict.fromkeys(parts)), locale=self.calendar))

    def question(self, question: Question) -> str:
        """Return a question as a sentence."""
        values = {
            "data": self.data(held.data_category for held in question.concerns),
            "use": self.phrase(question.data_use),
        }
        if question.recipient == self.version.controller:
            return self._say("May we use %(data)s to %(use)s?") % values
        if question.recipient == ANY:
            return self._say("May we or anyone else use %(data)s to %(use)s?") % values
        values["party"] = self.party_and_country(question.recipient)
        return self._say("May we let %(party)s use %(data)s to %(use)s?") % values

    def declared(self, declared: Iterable[Declared], *, us: str) -> list[str]:
        """Return declared uses as sentences, one for each use and recipient; `us` is “we”."""
        grouped: dict[tuple[str, str], list[str]] = {}
        for category, data_use, recipient in sorted(declared):
            grouped.setdefault((data_use, recipient), []).append(category)
        return [
            self._use_by(recipient, us)
            % {
                "party": self.party_and_country(recipient),
                "data": self.data(categories),
                "use": self.phrase(data_use),
            }
            for (data_use, recipient), categories in sorted(grouped.items())
        ]

    def _use_by(self, recipient: str, us: str) -> str:
        if recipient == us:
            return self._say("We use %(data)s to %(use)s.")
        return self._say("%(party)s uses %(data)s to %(use)s.")

    def held(
        self, concerned: Iterable[Held], published: Mapping[str, PolicyVersion]
    ) -> tuple[HeldRow, ...]:
        """Return the data that questions concern, a row for each phrase."""
        rows: dict[str, list[CollectedUnder]] = {}
        for category, name in concerned:
            under = CollectedUnder(version=name, text=self._under(name, published))
            versions = rows.setdefault(sentence_case(self.phrase(category)), [])
            if under not in versions:
                versions.append(under)
        return tuple(
            HeldRow(data=data, collected_under=tuple(versions)) for data, versions in rows.items()
        )

    def _under(self, name: str | None, published: Mapping[str, PolicyVersion]) -> str:
        if name is None:
            return self._say("an unknown version")
        if name not in published:
            return self._say("version %(name)s") % {"name": name}
        date = self.date(published[name].effective_at)
        return self._say("version %(name)s, from %(date)s") % {"name": name, "date": date}

    def taken_over_from(
        self, questions: Collection[Question], published: Mapping[str, PolicyVersion]
    ) -> str | None:
        """Return earlier controllers of the data, else of the version before, if another writes."""
        held = dict.fromkeys(name for one in questions for _, name in one.concerns if name)
        if not questions and self.version.follows:
            held = {self.version.follows: None}
        names = [
            replace(self, version=published[name]).controller
            for name in held
            if name in published and published[name].controller not in self.version.controllers
        ]
        return self._cut(self.listed(names), 2 * _LONGEST_PHRASE) if names else None

    def period(self, duration: str) -> str:
        """Return an ISO 8601 duration in words, whole units only: 7 years."""
        found = _PERIOD.fullmatch(duration)
        if found is None:
            return duration
        years, months, weeks, days, hours = (int(number or 0) for number in found.groups())
        say = self.catalogue.ngettext
        parts = [
            (years, say("%(num)d year", "%(num)d years", years)),
            (months, say("%(num)d month", "%(num)d months", months)),
            (weeks * 7 + days, say("%(num)d day", "%(num)d days", weeks * 7 + days)),
            (hours, say("%(num)d hour", "%(num)d hours", hours)),
        ]
        named = [form % {"num": number} for number, form in parts if number]
        return self.listed(named) if named else duration

    def date(self, at: datetime) -> str:
        """Return the date of a time, in the offset that it is written in."""
        return format_date(at, "long", locale=self.calendar)

    def day(self, at: datetime, time_zone: str | None) -> str:
        """Return the date of a person's own time: in their zone, else in that of the readers."""
        return self.date(at.astimezone(readers_zone(time_zone, self.version) or UTC))

    def moment(self, at: datetime, time_zone: str | None) -> str:
        """Return a person's own time to the minute: in their zone, else in that of the readers."""
        where = readers_zone(time_zone, self.version)
        if where is None:
            date, time = self.day(at, None), f"{at.astimezone(UTC):%H:%M}"
            form = self._say("%(date)s, %(time)s universal time (UTC)")
            return form % {"date": date, "time": time}
        return moment(at.astimezone(where), self.calendar)

    def _cut(self, text: str, longest: int = _LONGEST_PHRASE) -> str:
        return cut(text, longest) if self.brief else text

    def _say(self, message: str) -> str:
        return str(self.catalogue.gettext(message))


def touches(question: Question, refusals: Iterable[Use]) -> bool:
    """Return whether a question overlaps an earlier refusal. RULES 7."""
    return any(meet(no, use) for no in refusals for use in question.uses)


def cut(text: str, longest: int) -> str:
    """Return a text of at most so many characters, cut between words if they are short."""
    if len(text) <= longest:
        return text
    head = text[: longest - 1]
    word = head.rfind(" ")
    return f"{head[:word] if word > longest * 3 // 4 else head}…"


def sentence_case(phrase: str) -> str:
    """Return a phrase with its first letter capitalized."""
    return phrase[:1].upper() + phrase[1:]
