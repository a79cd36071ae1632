"""Lines of NDJSON: keys that are given twice are found, however the line is written."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.event import AccountEvent
from reconsent.files.line_form import any_given_twice, given_twice, wrong_form

_FIELDS = {
    "property": "shop.example",
    "account": "1",
    "status": "active",
    "contact": "all",
    "updated_at": "2026-11-01T10:00:00Z",
}
_KEYS = st.sampled_from(["contact", "email", "a", 'q"', "b\\", "c:", '":"', "å", " "])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.text(alphabet='a":\\ {},', max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_KEYS, inner, max_size=2),
    max_leaves=4,
)
_COLONS = st.sampled_from([":", ": ", " : ", "\t:", "  :", "\r:", "\n:", " \t:", " \r\n :"])


def _object(pairs: list[tuple[str, object]], colon: str) -> bytes:
    written = (f"{json.dumps(key)}{colon}{json.dumps(value)}" for key, value in pairs)
    return ("{" + ",".join(written) + "}").encode()


@given(pairs=st.lists(st.tuples(_KEYS, _VALUES), max_size=5), colon=_COLONS)
def test_a_key_given_twice_is_found(pairs: list[tuple[str, object]], colon: str) -> None:
    """Of the object itself; what a value holds is free."""
    names = [key for key, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    assert given_twice(_object(pairs, colon)) == twice


@given(
    lines=st.lists(
        st.tuples(st.lists(st.tuples(_KEYS, st.text(max_size=3)), max_size=3), _COLONS),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_many_lines_are_judged_like_each(lines: list[tuple[list[tuple[str, str]], str]]) -> None:
    """Whether the model knows the keys or not."""
    values = [_object([*_FIELDS.items(), *more], colon) for more, colon in lines]
    events = [
        AccountEvent.model_validate(_FIELDS | {k: v for k, v in more if k == "email"})
        for more, _ in lines
    ]
    assert any_given_twice(values, events) == any(given_twice(value) for value in values)


def test_data_of_an_event_counts_as_well() -> None:
    """Of a whole CloudEvent, the data and the attributes."""
    assert given_twice(b'{"specversion": "1.0", "data": {"a": 1, "a": 2}}') == "a"
    assert given_twice(b'{"specversion": "1.0", "id": "1", "id": "2", "data": {}}') == "id"
    assert given_twice(b'{"evidence": {"a": 1, "a": 2}}') is None
    assert given_twice(b'{"a": "\\ud83d", "a": 1}') == "a"
    for other in (b"", b"{", b"[1]", b'"a"', b"7", b"[" * 100_000):
        assert given_twice(other) is None


def test_what_is_not_one_object_a_line_is_explained() -> None:
    """An array, and an object that goes on below."""
    assert "not an array" in (wrong_form(b' [{"a": 1},') or "")
    assert "only the beginning" in (wrong_form(b"{") or "")
    assert wrong_form(b'{"a": 1}') is None
