"""Lines of NDJSON that a parser would take, or refuse, without saying what is wrong with them."""

from __future__ import annotations

import json
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

_FIELDS_SET: Final = attrgetter("__pydantic_fields_set__")
_FORM: Final = "NDJSON has one whole JSON object on each line"
# JSON's white space after a key, other than one blank.
_SPACES: Final = tuple(
    b'"' + spaces for spaces in (b"\t", b"\r", b"\n", b"  ", b" \t", b" \r", b" \n")
)


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON with all of its keys, also those given twice."""


def wrong_form(data: bytes) -> str | None:
    """Say what a line is that is no object: a part of an array, or of an object over many lines."""
    start = data.lstrip()[:1]
    if start == b"[":
        return f"should be an object, not an array: {_FORM}"
    if start == b"{" and data.strip() in {b"{", b"[{"}:
        return f"not JSON: only the beginning of an object: {_FORM}"
    return None


def given_twice(data: bytes) -> str | None:
    """Return the first key that an object, or the data of a CloudEvent, has twice."""
    if _pairs(data) == _keys(data):
        return None
    try:
        whole = json.loads(data, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None  # not JSON: others say so
    if not isinstance(whole, _Pairs):
        return None
    parts = [whole]
    if any(name == "specversion" for name, _ in whole):
        parts += [value for name, value in whole if name == "data" and isinstance(value, _Pairs)]
    for part in parts:
        for name, count in Counter(name for name, _ in part).items():
            if count > 1:
                return name
    return None


def any_given_twice(values: Sequence[bytes], parsed: Sequence[BaseModel]) -> bool:
    """Tell whether an object has a key twice; `parsed` is what a model made of each of them."""
    text = b",".join(values)
    pairs = _pairs(text)
    if pairs == sum(map(len, map(_FIELDS_SET, parsed))):
        return False
    # Some keys are unknown to the model, or some are given twice.
    if pairs == sum(map(len, from_json(b"[" + text + b"]"))):
        return False
    return any(given_twice(value) for value in values)


def _pairs(text: bytes) -> int:
    """Count pairs of keys and values, with what looks like one in a text.

    -1 if they are laid out so that one might be missed.
    """
    if any(spaces in text for spaces in _SPACES):
        return -1
    return text.count(b'":') + text.count(b'" :')


def _keys(data: bytes) -> int | None:
    """Count the different keys of an object."""
    try:
        return len(from_json(data))
    except (ValueError, TypeError):
        return None
