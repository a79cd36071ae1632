"""The facts that come in, as others write them. RULES 17, 27, 28.

Models of the data on each of the five topics. What a later minor version adds is ignored, and an
optional field that is null is absent. Keys and times are strict, for facts are found and ordered
by them; free text is never a reason to lose a fact.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)

from reconsent.domain.account import Contact, Profile, Status
from reconsent.domain.errors import BadInputError
from reconsent.domain.policy import DottedKey, PartyKey, PolicyVersion

_RFC_3339 = re.compile(
    r"(19|[2-8]\d)\d\d-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
# One @, and none of what would have to be quoted in a header (RFC 5322, specials).
_ADDRESS = re.compile(
    r'[^\s\x00-\x1f\x7f-\x9f()<>\[\]:;@\\,"]+@[^\s\x00-\x1f\x7f-\x9f()<>\[\]:;@\\,"]+'
)
_LONGEST_ADDRESS: Final = 254
# PostgreSQL keeps 131072 digits, Python writes 4300.
_LARGEST_NUMBER: Final = 10**1000

# Clocks differ, and a date may be told beforehand; a year that is wrong would win for ever.
FARTHEST_AHEAD: Final = timedelta(days=365)

NOT_THE_ADDRESS: Final = "blocked: "
"""How the reason of a bounce or a drop begins where the address is not to blame for it."""

_PROPERTY: Final = r"^[^\s/\x00-\x1f\x7f-\x9f]{1,200}$"
_NAME: Final = r"^[^\x00-\x1f\x7f-\x9f]{1,200}$"
_SHORT_NAME: Final = r"^[^\x00-\x1f\x7f-\x9f]{1,100}$"
# Not *, which stands for any version.
_VERSION: Final = r"^([^*\x00-\x1f\x7f-\x9f]|[^\x00-\x1f\x7f-\x9f]{2,100})$"
_DOTTED_KEY: Final = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"
_PARTY_KEY: Final = r"^[a-z0-9-]+$"
# What a string that does not match should have been.
_FORMS: Final = {
    _PROPERTY: "should be 1 to 200 characters without spaces and slashes",
    _NAME: "should be 1 to 200 characters without control characters",
    _SHORT_NAME: "should be 1 to 100 characters without control characters",
    _VERSION: "should be 1 to 100 characters without control characters, and not *",
    _DOTTED_KEY: "should be a dotted key such as user.contact.email",
    _PARTY_KEY: "should be a party's key: lower-case letters, digits and hyphens",
}


def _time(value: object) -> datetime:
    """Read an RFC 3339 time with a zone, of the years 1900 to 8999, as UTC."""
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC)
    raise ValueError(
        "should be an RFC 3339 time with a zone, such as 2026-12-01T08:00:00Z, from 1900 to 8999"
    )


def _printable(text: str) -> str:
    # PostgreSQL keeps any character but this one.
    return text.replace("\0", "\ufffd")


def _storable(value: JsonValue) -> JsonValue:
    """Return the same JSON value in a form that PostgreSQL can keep. Raises ValueError."""
    match value:
        case str():
            return _printable(value)
        case list():
            return [_storable(item) for item in value]
        case dict():
            return {_printable(name): _storable(item) for name, item in value.items()}
        # Written so that NaN, which is below nothing, is too large as well.
        case int() | float() if not abs(value) < (
            _LARGEST_NUMBER if isinstance(value, int) else math.inf
        ):
            raise ValueError("should have no number that large")
    return value


def _else(default: object) -> Callable[[object], object]:
    return lambda value: default if value is None else value


Property = Annotated[str, StringConstraints(pattern=_PROPERTY)]
Name = Annotated[str, StringConstraints(pattern=_NAME)]
ShortName = Annotated[str, StringConstraints(pattern=_SHORT_NAME)]
CollectedUnder = Annotated[str, StringConstraints(pattern=_VERSION)]
FreeText = Annotated[str, AfterValidator(_printable)]
Source = Literal["person", "third_party"]
Time = Annotated[
    datetime, PlainValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
FalseIfNull = Annotated[
    bool, BeforeValidator(_else(default=False), json_schema_input_type=bool | None)
]
PersonIfNull = Annotated[
    Source, BeforeValidator(_else(default="person"), json_schema_input_type=Source | None)
]


class _Event(BaseModel):
    """The data of an event."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class AccountEvent(_Event):
    """The whole account, as it is from `updated_at` on; what is absent is empty.

    An address that no mail can go to is as none: the event still says status and contact.
    """

    property: Property
    account: Name
    given_email: Annotated[FreeText | None, Field(alias="email")] = None
    name: FreeText | None = None
    locale: FreeText | None = None
    time_zone: FreeText | None = None
    status: Status
    contact: Contact
    minor: FalseIfNull = False
    updated_at: Time

    @cached_property
    def email(self) -> str | None:
        """The address, if mail can go there."""
        given = self.given_email
        usable = given and len(given) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(given)
        return given if usable else None

    @cached_property
    def email_unusable(self) -> bool:
        """Whether an address was given that no mail can go to."""
        return self.given_email is not None and self.email is None

    @cached_property
    def profile(self) -> Profile:
        """What the event says of the account."""
        return Profile(
            status=self.status,
            contact=self.contact,
            minor=self.minor,
            email=self.email,
            name=self.name,
            locale=self.locale,
            time_zone=self.time_zone,
            updated_at=self.updated_at,
        )


class CollectionEvent(_Event):
    """Data of a category was collected under a version (null: unknown), or erased."""

    property: Property
    account: Name
    data_category: DottedKey
    collected_under: CollectedUnder | None = None
    source: PersonIfNull = "person"
    erased: FalseIfNull = False
    collected_at: Time


class ChoiceEvent(_Event):
    """What a person said about a use; null is as left out."""

    property: Property
    account: Name
    answer: Literal["allow", "deny"]
    data_use: DottedKey
    recipient: PartyKey | None = None
    data_category: DottedKey | None = None
    collected_under: CollectedUnder | None = None
    policy_version: ShortName | None = None
    channel: ShortName | None = None
    evidence: Annotated[JsonValue, AfterValidator(_storable)] = None
    decided_at: Time


class MailEvent(_Event):
    """What became of a notice's mail."""

    notice: Name
    event: Literal["delivered", "deferred", "bounced", "dropped", "complained", "unsubscribed"]
    occurred_at: Time
    reason: FreeText | None = None
    provider_id: FreeText | None = None


Event = AccountEvent | CollectionEvent | ChoiceEvent | MailEvent | PolicyVersion


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One input: its data's model, and the fields that make up its messages' keys."""

    name: str
    singular: str
    model: type[Event]
    key_fields: tuple[str, ...]

    @cached_property
    def type(self) -> str:
        """The CloudEvents type of its messages."""
        return f"reconsent.{self.singular}.v1"


_OF_ACCOUNT: Final = ("property", "account")
_INPUTS: Final = (
    ("policy-versions", "policy-version", PolicyVersion, ("policy",)),
    ("accounts", "account", AccountEvent, _OF_ACCOUNT),
    ("collections", "collection", CollectionEvent, _OF_ACCOUNT),
    ("choices", "choice", ChoiceEvent, _OF_ACCOUNT),
    ("mail-events", "mail-event", MailEvent, ("notice",)),
)
TOPICS: Final[Mapping[str, Topic]] = {
    name: Topic(name=name, singular=singular, model=model, key_fields=fields)
    for name, singular, model, fields in _INPUTS
}


def key_of(topic: str, data: Event) -> bytes:
    """Return the key that keeps what concerns the same thing in order."""
    return "/".join(getattr(data, field) for field in TOPICS[topic].key_fields).encode()


def parse(topic: str, data: bytes) -> Event:
    """Read the JSON data of a topic's event. Raises BadInputError: `field: what is wrong`."""
    try:
        return TOPICS[topic].model.model_validate_json(data)
    except ValidationError as error:
        raise BadInputError(mistake(error)) from error


def ahead(data: Event, now: datetime) -> str | None:
    """Say that an event comes from a clock too far ahead of now; it would win over all later ones.

    A policy version has no such time: when it takes effect is up to whoever publishes it.
    """
    match data:
        case AccountEvent():
            field, at = "updated_at", data.updated_at
        case CollectionEvent():
            field, at = "collected_at", data.collected_at
        case ChoiceEvent():
            field, at = "decided_at", data.decided_at
        case MailEvent():
            field, at = "occurred_at", data.occurred_at
        case _:
            return None
    if at <= now + FARTHEST_AHEAD:
        return None
    return (
        f"{field}: {at.isoformat()} is more than a year ahead of the time at which it was read, "
        f"{now.isoformat(timespec='seconds')}"
    )


def mistake(error: ValidationError) -> str:
    """Say the first thing that is wrong with an event or a check: `field: what is wrong`."""
    return in_words(error.errors(include_url=False)[0])


def in_words(wrong: Mapping[str, Any]) -> str:
    """Say what pydantic found wrong, after the field that it is about."""
    if wrong["type"] == "json_invalid":
        return f"not JSON: {wrong['ctx']['error']}"
    words = wrong["msg"].removeprefix("Value error, ")
    words = words[:1].lower() + words[1:]
    if wrong["type"] == "string_pattern_mismatch":
        words = _FORMS.get(wrong["ctx"]["pattern"], words)
    place = ".".join(map(str, wrong["loc"]))
    return f"{place}: {words}" if place else words
