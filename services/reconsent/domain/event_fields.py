"""The types of events' fields: text, times, flags, and any JSON. RULES 27."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    JsonValue,
    PlainValidator,
    WithJsonSchema,
)

from reconsent.domain.fields import Name
from reconsent.domain.notice_id import one_spelling
from reconsent.domain.surrogates import storable

_RFC_3339 = re.compile(
    r"(19|[2-8]\d)\d\d-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_CHANNEL: Final = re.compile(r"[A-Za-z0-9-]{1,32}")
# PostgreSQL stores up to 131072 digits, Python prints up to 4300.
_LARGEST_NUMBER: Final = 10**1000


def _time(value: object) -> datetime:
    """Parse an RFC 3339 time with a zone, of the years 1900 to 8999, as UTC."""
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC)
    raise ValueError(
        "should be an RFC 3339 time with a zone, such as 2026-12-01T08:00:00Z, from 1900 to 8999"
    )


def _json_to_store(value: JsonValue) -> JsonValue:
    """Return the same JSON value in a form that PostgreSQL can store. Raises ValueError."""
    match value:
        case str():
            return storable(value)
        case list():
            return [_json_to_store(item) for item in value]
        case dict():
            return {storable(name): _json_to_store(item) for name, item in value.items()}
        # `not abs(value) < …` also rejects NaN.
        case int() | float() if not abs(value) < (
            _LARGEST_NUMBER if isinstance(value, int) else math.inf
        ):
            raise ValueError("has a number that is too large")
    return value


def _channel(text: str) -> str:
    """Return a channel's name; free text, which may be personal, is `other`."""
    return text if _CHANNEL.fullmatch(text) else "other"


def _default_if_null(default: object) -> Callable[[object], object]:
    return lambda value: default if value is None else value


Channel = Annotated[str, AfterValidator(_channel)]
FreeText = Annotated[str, AfterValidator(storable)]
Source = Literal["person", "third_party"]
Time = Annotated[
    datetime, PlainValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
FalseIfNull = Annotated[
    bool, BeforeValidator(_default_if_null(default=False), json_schema_input_type=bool | None)
]
PersonIfNull = Annotated[
    Source,
    BeforeValidator(_default_if_null(default="person"), json_schema_input_type=Source | None),
]


NoticeName = Annotated[Name, AfterValidator(one_spelling)]
AnyJson = Annotated[JsonValue, AfterValidator(_json_to_store)]
