"""Names in events that nothing here has. They are recorded all the same; it may be a typo.

A property that no policy lists, a category, use or party that no version of its policy names, a
version that is not published, a locale or a time zone that does not exist.
"""

from __future__ import annotations

import re
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.domain.spelling import did_you_mean
from reconsent.domain.use import ANY, narrower

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from reconsent.domain.policy import Policy

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "accounts": ("property", "locale", "time_zone"),
    "collections": ("property", "data_category", "collected_under"),
    "choices": (
        "property", "data_category", "collected_under", "data_use", "recipient", "policy_version",
    ),
}  # fmt: skip
"""The fields of each topic's events that hold names, the property first."""
CHECKS: Final = "checks"
CHECKED: Final = ("property", "data_category", "collected_under", "data_use", "recipient")
"""The fields with names of permission checks."""
_READERS: Final = {topic: attrgetter(*fields) for topic, fields in FIELDS.items()}
_ALL: Final = {**FIELDS, CHECKS: CHECKED}
_LONGEST: Final = 200
_SHOWN: Final = re.compile(r"[A-Za-z0-9_./+ -]{1,40}")
HIDDEN: Final = "(not shown)"

Names = tuple[str | None, ...]
"""What an event has in these fields."""


class UnknownName(NamedTuple):
    """A name in a field of a topic's events about a property."""

    topic: str
    property: str
    field: str
    name: str


def tally(topic: str, events: Sequence[Any]) -> tuple[Counter[Names], list[Names]]:
    """Count events by their names; also return the names of each. Empty for other topics."""
    reader = _READERS.get(topic)
    each = list(map(reader, events)) if reader else []
    return Counter(each), each


class KnownNames:
    """The names that the published policies have."""

    def __init__(
        self,
        policies: Mapping[str, Policy],
        owners: Mapping[str, str],
        exists: Callable[[str, str], bool],
    ) -> None:
        """Take the policies by name, the policy of each property, and what knows locales and zones.

        `exists` takes `locale` or `time_zone`, and a name.
        """
        self._policies = policies
        self._owners = owners
        self._exists = exists

    def unknown(self, topic: str, names: Names) -> Iterator[UnknownName]:
        """Yield the names of an event that are unknown."""
        fields = dict(zip(_ALL[topic], names, strict=True))
        property_name = fields["property"] or ""
        about = _shown("property", property_name)
        for field, name in fields.items():
            if name and self.is_unknown(field, name, property_name):
                yield UnknownName(topic, about, field, _shown(field, name))

    def is_unknown(self, field: str, name: str, property_name: str) -> bool:
        """Tell whether a field of an event about a property has a name that is unknown."""
        if field in _OF_PEOPLE:
            return not self._exists(field, name)
        policy = self.policy_of(property_name)
        if policy is None or field == "property":
            return field == "property" and policy is None
        known = _known(policy, field)
        if field in {"data_category", "data_use"}:
            return all(narrower(name, other) is None for other in known)
        return name != ANY and name not in known

    @property
    def properties(self) -> Collection[str]:
        """All properties that policies list."""
        return self._owners.keys()

    def policy_of(self, property_name: str) -> Policy | None:
        """Return the policy that lists a property."""
        return self._policies.get(self._owners.get(property_name, ""))

    def in_words(self, unknown: UnknownName, events: int) -> str:
        """Say in one line how many events have a name, and which one was probably meant."""
        topic, property_name, field, name = unknown
        what_came = "account events" if topic == "accounts" else topic
        counted = f"{events:,} {what_came if events != 1 else what_came.removesuffix('s')}"
        if field == "property":
            return f"{counted} of {name!r}, which no policy lists{did_you_mean(name, self._owners)}"
        if field in _OF_PEOPLE:
            return f"{counted} of {property_name} with {_OF_PEOPLE[field].format(name)}"
        policy = self.policy_of(property_name)
        what, why = _OF_POLICIES[field]
        known = _known(policy, field) if policy else ()
        return (
            f"{counted} of {property_name} with the {what} {name!r}, which"
            f" {why.format(policy.name if policy else '')}{did_you_mean(name, known)}"
        )


def _shown(field: str, name: str) -> str:
    """Return a name as it may be kept: columns that were mixed up may hold names of people."""
    is_key = field not in _OF_PEOPLE and "@" not in name
    return name[:_LONGEST] if is_key or _SHOWN.fullmatch(name) else HIDDEN


_OF_PEOPLE: Final = {
    "locale": "the locale {!r}, which is not a valid language tag; one is nb-NO",
    "time_zone": "the time zone {!r}, which does not exist; one is Europe/Oslo",
}
_OF_POLICIES: Final = {
    "data_category": ("category", "no version of {} declares"),
    "collected_under": ("version", "is not published for {}"),
    "data_use": ("use", "no version of {} declares"),
    "recipient": ("recipient", "no version of {} declares a use for"),
    "policy_version": ("version", "is not published for {}"),
}


def _known(policy: Policy, field: str) -> Collection[str]:
    """Return the names that a policy's versions have for a field."""
    if field in {"collected_under", "policy_version"}:
        return policy.by_name
    place = ("data_category", "data_use", "recipient").index(field)
    return {declared[place] for version in policy.versions for declared in version.declared}
