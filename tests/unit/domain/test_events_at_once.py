"""Events parsed at once are what they are when parsed one by one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import STRUCTURED, read, read_at_once
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import TOPICS, parse
from reconsent.domain.events_at_once import parse_at_once
from reconsent.domain.received import Received

_NOW: Final = datetime(2026, 12, 1, tzinfo=UTC)
_AT: Final = "2026-11-01T10:00:00Z"
_ACCOUNT: Final = {
    "property": "shop.example",
    "account": "1",
    "status": "active",
    "contact": "all",
    "updated_at": _AT,
}
_COLLECTION: Final = {
    "property": "shop.example",
    "account": "1",
    "data_category": "user.contact",
    "collected_at": _AT,
}
_PLAIN: Final = {"accounts": _ACCOUNT, "collections": _COLLECTION}
_TIMES: Final = st.sampled_from(
    [
        _AT,
        "2026-02-30T10:00:00Z",
        "2026-11-01t10:00:00.1234567+05:30",
        "2026-11-01T10:00:00",
        "2026-11-01T24:00:00Z",
        "2026-11-01T10:00:60Z",
        "2026-11-01T10:00:00+99:00",
        "2026-11-01T10:00:00-00:00",
        "1899-11-01T10:00:00Z",
        "8999-12-31T23:59:59-23:59",
        "\u0662026-11-01T10:00:00Z",
        _AT + "\n",
        "",
    ]
)
_TEXTS: Final = st.one_of(
    st.text(max_size=4),
    st.sampled_from(
        ["\0", "{", "}", "\\", "\\u0000", "a/b", "*", "a@b.example", "x" * 201, "\ud800"]
    ),
)
_VALUES: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    _TEXTS,
    _TIMES,
    st.sampled_from(["active", "deleted", "none", "person", "third_party", [], {}, [{}], [[1]]]),
)
_NAMES: Final = st.sampled_from(
    sorted(
        {
            field.alias or name
            for topic in _PLAIN
            for name, field in TOPICS[topic].model.model_fields.items()
        }
        | {"given_email", "specversion", "extra", "{"}
    )
)


@st.composite
def _lines(draw: st.DrawFn, topic: str) -> bytes:
    """A line that is well formed, or nearly."""
    changed = draw(st.dictionaries(_NAMES, st.one_of(_VALUES, _TIMES, _TEXTS), max_size=3))
    text = json.dumps(_PLAIN[topic] | changed, ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(text)))
        piece = draw(st.sampled_from(["{", "}", ",", '"', " ", "\r", "\n", "},{", '"a":1,', "\\"]))
        text = text[:at] + piece + text[at + draw(st.integers(0, 1)) :]
    return text.encode(errors="surrogatepass")


@pytest.mark.parametrize("topic", list(_PLAIN))
@given(data=st.data())
def test_what_is_parsed_at_once_is_what_is_parsed_one_by_one(
    topic: str, data: st.DataObject
) -> None:
    """Whatever is not left to the exact way is what that would return."""
    lines = data.draw(st.lists(_lines(topic), max_size=4))
    _same(topic, lines)


@example([b'{"a":1},{"a":1}', b'{"a":[{}', b"{}]}"])
@example([json.dumps(_ACCOUNT).encode() + b"," + json.dumps(_ACCOUNT).encode(), b""])
@given(st.lists(st.sampled_from([b'{"a":"}', b'{"', b'"}', b"{}", b"{},{}", b"]", b"{", b"}"])))
def test_lines_are_not_joined_to_other_objects(lines: list[bytes]) -> None:
    """Each line is an object of its own."""
    _same("accounts", lines)


def test_plain_events_are_parsed_at_once() -> None:
    """Nothing plain is left to the exact way, whatever the optional fields are."""
    for topic, event in _PLAIN.items():
        optional = dict.fromkeys(
            (
                field.alias or name
                for name, field in TOPICS[topic].model.model_fields.items()
                if not field.is_required()
            ),
        )
        lines = [json.dumps(event | some).encode() for some in ({}, optional, {"more": [1, "é"]})]
        found = parse_at_once(topic, lines)
        assert found == [parse(topic, line) for line in lines]


def _same(topic: str, lines: list[bytes]) -> None:
    found = parse_at_once(topic, lines)
    if found is not None:
        exact = [parse(topic, line) for line in lines]
        assert found == exact
        assert [vars(one) for one in found] == [vars(one) for one in exact]
        assert [one.model_fields_set for one in found] == [one.model_fields_set for one in exact]
        assert {type(one) for one in found} == {type(one) for one in exact}


def test_messages_read_at_once_are_what_they_are_when_read_one_by_one() -> None:
    """Bare, binary and structured messages, tombstones and what is malformed, in any company."""
    value = json.dumps(_ACCOUNT).encode()
    event = {"specversion": "1.0", "type": "reconsent.account.v1", "source": "urn:s", "id": "1"}
    binary = tuple((f"ce_{name}", text.encode()) for name, text in event.items())
    structured = json.dumps(event | {"data": _ACCOUNT}).encode()
    kinds = [
        Message("accounts", None, value, (), _NOW),
        Message("accounts", None, value, binary, _NOW),
        Message("accounts", None, structured, (("content-type", STRUCTURED),), _NOW),
        Message("accounts", b"shop.example/1", None, (), _NOW),
        Message("accounts", None, b'{"property": 1}', (), _NOW),
        Message("accounts", None, value, binary[:-1], _NOW),
    ]
    for messages in (kinds, kinds[:3], kinds[:1], kinds[3:], kinds[5:], []):
        found = read_at_once(messages)
        assert [str(one) for one in found] == [str(_read(message)) for message in messages]
        assert [type(one) for one in found] == [type(_read(message)) for message in messages]


def _read(message: Message) -> Received | BadInputError:
    try:
        return read(message)
    except BadInputError as error:
        return error
