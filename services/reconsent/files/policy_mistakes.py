"""Error messages for malformed values in a policy file, in its author's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconsent.domain.policy import NoticeSettings, Party, PolicyVersion, Row, Text
from reconsent.domain.spelling import did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from reconsent.files.lined_yaml import Place

_PARTS: Final[dict[str, type[BaseModel]]] = {
    "declares": Row,
    "parties": Party,
    "texts": Text,
    "notice": NoticeSettings,
}
_DOTTED: Final = "is not a dotted key (words of letters, digits, - and _ joined by dots)"
_PARTY: Final = "is not a party key (lower-case letters, digits and hyphens)"
_NAME: Final = "is not a name (letters, digits, dots, - and _, beginning with a letter or digit)"
_LOCALE: Final = "is not a locale such as en or nb-NO"
_WANTED: Final = {
    "controller": _PARTY,
    "joint_controllers": _PARTY,
    "country": "is not a country code (two capital letters such as NO)",
    "data": _DOTTED,
    "follows": _NAME,
    "parties": _PARTY,
    "policy": _NAME,
    "properties": "is not a property (a name without spaces and slashes)",
    "recipients": _PARTY,
    "texts": _LOCALE,
    "uses": _DOTTED,
    "version": _NAME,
    "words": _LOCALE,
}
_A_KEY: Final = "[key]"
"""pydantic appends this to the place of an invalid key."""


def field_of(place: Place) -> str:
    """Return a place as a dotted path, positions counted from 0."""
    return ".".join(str(step) for step in place if step != _A_KEY)


def is_echo(error: ErrorDetails) -> bool:
    """Tell whether an error only follows from errors in the items of a list."""
    return error["type"] == "too_short" and bool(error["input"])


def unknown_key(place: Place) -> str:
    """Return the message for an unknown key, with the closest known one."""
    part: type[BaseModel] = PolicyVersion
    if len(place) > 1:
        part = _PARTS[str(place[0])]
    return f"is an unknown key{did_you_mean(str(place[-1]), part.model_fields)}"


def in_words(error: ErrorDetails) -> str:
    """Return the message for an invalid value."""
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if given is None:
        return "is empty"
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch":
        return f"{_short(given)} {_wanted(error['loc'])}"
    if kind == "literal_error":
        return f"{_short(given)} is not {context['expected']}"
    if kind == "string_too_long":
        return f"is longer than {context['max_length']} characters"
    fixed = {
        "bool_type": f"{_short(given)} is not true or false",
        "dict_type": "must be a mapping (key: value)",
        "model_type": "must be a mapping (key: value)",
        "string_too_short": "is empty",
        "string_type": _not_text(given),
        "timezone_aware": f"{_short(given)} has no time with a zone, such as 2027-01-15T00:00:00Z",
        "too_short": "is empty",
        "tuple_type": "must be a list, such as [one, another]",
    }
    return fixed.get(kind) or (
        f"{_short(given)} is not a time such as 2027-01-15T00:00:00Z"
        if kind.startswith("datetime")
        else f"{_short(given)}: {error['msg']}"
    )


def _not_text(given: object) -> str:
    if isinstance(given, bool):
        return f"must be text: put {str(given).lower()} in quotes"
    return "must be text, not a list or a mapping"


def _wanted(place: Place) -> str:
    if place[-1] == _A_KEY:
        return _WANTED.get(str(place[0]), "is not allowed here")
    names = [step for step in place if isinstance(step, str)]
    return _WANTED.get(names[-1], "is not allowed here")


def _short(given: object) -> str:
    text = given if isinstance(given, str) else str(given)
    return repr(text if len(text) <= 60 else text[:59] + "…")  # noqa: PLR2004 (fits a line)
