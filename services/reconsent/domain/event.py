"""Incoming events: models of the data on each of the five input topics. RULES 17, 27, 28.

Unknown fields are ignored, because a later minor version may add some. An optional field that is
null is absent. Keys and times are strict, because facts are found and ordered by them; free text
never makes an event invalid.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from reconsent.domain.account import Contact, Status
from reconsent.domain.address import UnusableAddressError, usable_address
from reconsent.domain.errors import BadInputError
from reconsent.domain.event_fields import (
    AnyJson,
    Channel,
    FalseIfNull,
    FreeText,
    NoticeName,
    PersonIfNull,
    Time,
)
from reconsent.domain.fields import (
    FORMS,
    CollectedUnder,
    DottedKey,
    Name,
    PartyKey,
    Property,
    ShortName,
)
from reconsent.domain.policy import PolicyVersion
from reconsent.domain.surrogates import with_nul


def _by(at: datetime | None, updated_at: datetime) -> datetime | None:
    return None if at is None else min(at, updated_at)


def _usable(email: str | None) -> str | None:
    try:
        return None if email is None else usable_address(email)
    except UnusableAddressError:
        return None


class _Event(BaseModel):
    """The data of an event."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Fact(_Event):
    """The data of an event that has a time."""

    @cached_property
    def stated_at(self) -> datetime | None:
        """The time that the event states, if it counts from an earlier one."""
        return None


class AccountEvent(_Fact):
    """The whole account as of `updated_at`; an absent field is empty.

    An unusable address counts as none; the rest of the event still applies.
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
    email_verified_at: Time | None = None
    opted_in_at: Time | None = None
    updated_at: Time

    def verified(self) -> datetime | None:
        """Return when the address was verified: the account is as of `updated_at`, so by then."""
        return _by(self.email_verified_at, self.updated_at)

    def opted_in(self) -> datetime | None:
        """Return when the person opted in to optional mail last: by `updated_at` too."""
        return _by(self.opted_in_at, self.updated_at)

    @cached_property
    def email(self) -> str | None:
        """The address as it is kept, if it is usable."""
        return _usable(self.given_email)


class CollectionEvent(_Fact):
    """Data of a category was collected under a version (null: unknown), or erased."""

    property: Property
    account: Name
    data_category: DottedKey
    collected_under: CollectedUnder | None = None
    source: PersonIfNull = "person"
    erased: FalseIfNull = False
    collected_at: Time


class ChoiceEvent(_Fact):
    """A person's decision about a use; a null field counts as left out."""

    property: Property
    account: Name
    answer: Literal["allow", "deny"]
    data_use: DottedKey
    recipient: PartyKey | None = None
    data_category: DottedKey | None = None
    collected_under: CollectedUnder | None = None
    policy_version: ShortName | None = None
    channel: Channel | None = None
    evidence: AnyJson = None
    decided_at: Time


class MailEvent(_Fact):
    """A provider's report about a notice's mail, or about an address if it names no notice."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["notice"]}, {"required": ["email"]}]}
    )

    notice: NoticeName | None = None
    given_email: Annotated[FreeText | None, Field(alias="email")] = None
    event: Literal["delivered", "deferred", "bounced", "dropped", "complained", "unsubscribed"]
    occurred_at: Time
    reason: FreeText | None = None
    provider_id: FreeText | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.notice is None and self.given_email is None:
            raise ValueError("notice: is required where there is no email")
        return self

    @cached_property
    def email(self) -> str | None:
        """The address as it would be kept, if it is usable."""
        return _usable(self.given_email)


class PolicyVersionEvent(PolicyVersion):
    """A policy version as it was published, and when: a replay has the same past. RULES 30."""

    published_at: Time | None = None


DatedEvent = AccountEvent | CollectionEvent | ChoiceEvent | MailEvent
Event = DatedEvent | PolicyVersion
_LINE: Final = re.compile(r" at line 1 column (?=\d+\Z)")
"""A parser's position of a mistake: each line of a file is parsed alone, so it is line 1."""
_TIMES: Final[Mapping[type[Event], str]] = {
    AccountEvent: "updated_at",
    CollectionEvent: "collected_at",
    ChoiceEvent: "decided_at",
    MailEvent: "occurred_at",
}


@dataclass(frozen=True, kw_only=True)
class Topic:
    """An input topic: the model of its data, and the fields that make up its messages' keys."""

    name: str
    singular: str
    model: type[Event]
    key_fields: tuple[str, ...]

    @cached_property
    def type(self) -> str:
        """The CloudEvents type of its messages."""
        return f"reconsent.{self.singular}.v1"

    def readable(self, data: bytes) -> bytes:
        """Return JSON without lone surrogates; a policy's unchanged, for it has no free text."""
        return data if self.model is PolicyVersion else with_nul(data)


_OF_ACCOUNT: Final = ("property", "account")
_INPUTS: Final = (
    ("policy-versions", "policy-version", PolicyVersionEvent, ("policy",)),
    ("accounts", "account", AccountEvent, _OF_ACCOUNT),
    ("collections", "collection", CollectionEvent, _OF_ACCOUNT),
    ("choices", "choice", ChoiceEvent, _OF_ACCOUNT),
    ("mail-events", "mail-event", MailEvent, ("notice",)),
)
TOPICS: Final[Mapping[str, Topic]] = {
    name: Topic(name=name, singular=singular, model=model, key_fields=fields)
    for name, singular, model, fields in _INPUTS
}


def key_of(topic: str, data: Event) -> bytes | None:
    """Return the message key, which keeps events about the same thing in order.

    None for a report that names no notice.
    """
    fields = [getattr(data, field) for field in TOPICS[topic].key_fields]
    return None if None in fields else "/".join(fields).encode()


def parse(topic: str, data: bytes) -> Event:
    """Parse the JSON data of a topic's event. Raises BadInputError: `field: what is wrong`."""
    try:
        return TOPICS[topic].model.model_validate_json(TOPICS[topic].readable(data))
    except ValidationError as error:
        raise BadInputError(mistake(error)) from error


def time_of(data: Event) -> datetime | None:
    """Return the time of a fact; None for a policy version, which may take effect at any time."""
    field = _TIMES.get(type(data))
    return None if field is None else getattr(data, field)


def counting_from(data: DatedEvent, at: datetime) -> DatedEvent:
    """Return an event that counts from a time earlier than the one it states. RULES 27."""
    counted = data.model_copy(update={_TIMES[type(data)]: at})
    # It is looked up before it would be derived.
    vars(counted)["stated_at"] = time_of(data)
    return counted


def mistake(error: ValidationError) -> str:
    """Describe the first error in an event or a check: `field: what is wrong`."""
    return in_words(error.errors(include_url=False)[0])


def in_words(wrong: Mapping[str, Any]) -> str:
    """Describe an error of pydantic's: `field: what is wrong`."""
    if wrong["type"] == "json_invalid":
        return f"not JSON: {_LINE.sub(' at character ', wrong['ctx']['error'])}"
    words = wrong["msg"].removeprefix("Value error, ")
    words = words[:1].lower() + words[1:]
    if wrong["type"] == "string_pattern_mismatch":
        words = FORMS.get(wrong["ctx"]["pattern"], words)
    elif wrong["type"] in ("bool_type", "bool_parsing"):
        words = "should be true or false"
    place = ".".join(map(str, wrong["loc"]))
    return f"{place}: {words}" if place else words
