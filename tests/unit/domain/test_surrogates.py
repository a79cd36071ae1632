"""Lone surrogates and NUL: free text loses a character, never the fact; keys are refused."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic_core import from_json

from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import STRUCTURED, binary, read, read_at_once
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import TOPICS, Event, parse
from reconsent.domain.surrogates import storable, with_nul
from reconsent.files.checking import Rules, check_block
from reconsent.files.events import validated
from reconsent.mail.sendgrid.events import read_events

_NOW: Final = datetime(2026, 12, 1, tzinfo=UTC)
_AT: Final = "2026-11-01T10:00:00Z"
_OF_ACCOUNT: Final = {"property": "shop.example", "account": "ann"}
_FACTS: Final[dict[str, dict[str, Any]]] = {
    "accounts": _OF_ACCOUNT | {"status": "active", "contact": "none", "updated_at": _AT},
    "collections": _OF_ACCOUNT | {"data_category": "user.contact", "collected_at": _AT},
    "choices": _OF_ACCOUNT | {"answer": "deny", "data_use": "marketing", "decided_at": _AT},
    "mail-events": {"notice": "n-1", "event": "bounced", "occurred_at": _AT},
}
# What is free text of each fact, and what else a later version may add.
_FREE: Final = {
    "accounts": ("name", "email", "locale", "time_zone", "added"),
    "collections": ("added",),
    "choices": ("evidence", "added"),
    "mail-events": ("reason", "provider_id", "added"),
}
_KEYS: Final = [
    (topic, field)
    for topic, fields in {
        "accounts": ("property", "account"),
        "collections": ("property", "account", "data_category", "collected_under"),
        "choices": (
            "property", "account", "data_use", "data_category", "collected_under", "recipient",
            "policy_version",
        ),
        "mail-events": ("notice",),
    }.items()
    for field in fields
]  # fmt: skip
_HALVES: Final = [chr(0), chr(0xD83D), chr(0xDE00)]
_PIECES: Final = st.sampled_from(
    ["\0", "\ud83d", "\ude00", "\ud800", "\udfff", "😀", "\\", "\\ud83d", '"', "é", "a", "\ufffd"]
)
TEXTS: Final = st.lists(_PIECES | st.characters(), max_size=6).map("".join)


def _joined(text: str) -> str:
    """Two halves that stand together are one character, as JSON has it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _stored(text: str) -> str:
    return re.sub("[\0\ud800-\udfff]", "\ufffd", _joined(text))


def _doors(topic: str, data: dict[str, Any]) -> list[Event]:
    """Read a fact at every door of the bus, alone and in company."""
    value = json.dumps(data).encode()
    attributes = {"specversion": "1.0", "type": TOPICS[topic].type, "source": "urn:s", "id": "1"}
    headers = tuple((f"ce_{name}", text.encode()) for name, text in attributes.items())
    whole = (("content-type", STRUCTURED),)
    coded = attributes | {"data_base64": base64.b64encode(value).decode()}
    messages = [
        Message(topic, None, value, (), _NOW),
        Message(topic, None, value, headers, _NOW),
        Message(topic, None, json.dumps(attributes | {"data": data}).encode(), whole, _NOW),
        Message(topic, None, json.dumps(coded).encode(), whole, _NOW),
    ]
    plain = Message(topic, None, json.dumps(_FACTS[topic]).encode(), (), _NOW)
    found = [read(message).data for message in messages]
    found += [read(binary(message)[0]).data for message in messages]
    for message in messages:
        together = read_at_once([plain, message])
        assert not isinstance(together[1], BadInputError), together[1]
        found.append(together[1].data)
    return found


@pytest.mark.parametrize(("topic", "field"), [(t, f) for t, free in _FREE.items() for f in free])
@given(text=TEXTS)
@example(text="Ann \ud83d")
@example(text="\ude00\ud83d")
def test_free_text_loses_a_character_and_never_the_fact(topic: str, field: str, text: str) -> None:
    """Through every door of the bus the same is read, and everything else of the fact stays."""
    expected = parse(topic, json.dumps(_FACTS[topic] | {field: _stored(text)}).encode())
    for found in _doors(topic, _FACTS[topic] | {field: text}):
        assert found == expected


@given(st.recursive(TEXTS, lambda x: st.lists(x, max_size=2) | st.dictionaries(TEXTS, x)))
def test_evidence_keeps_its_form(evidence: object) -> None:
    """Also in the names within evidence a character is replaced, and no more."""

    def stored(value: object) -> object:
        match value:
            case str():
                return _stored(value)
            case list():
                return [stored(one) for one in value]
            case dict():
                # Of names that become the same, any may stay.
                assume(len({_stored(name) for name in value}) == len(value))
                return {_stored(name): stored(one) for name, one in value.items()}
        return value

    expected = stored(evidence)
    for found in _doors("choices", _FACTS["choices"] | {"evidence": evidence}):
        assert getattr(found, "evidence") == expected  # noqa: B009 -- of a choice


@pytest.mark.parametrize(("topic", "field"), _KEYS)
@pytest.mark.parametrize("half", _HALVES, ids=ascii)
def test_a_key_with_half_a_character_is_refused(topic: str, field: str, half: str) -> None:
    """A key is never changed: the fact would become another's. The line names the field."""
    value = json.dumps(_FACTS[topic] | {field: f"a{half}"}).encode()
    with pytest.raises(BadInputError, match=rf"^{topic}: {field}: [^\n]+$"):
        read(Message(topic, None, value, (), _NOW))


def test_a_tombstone_of_a_key_that_is_no_text_is_refused() -> None:
    """It could only delete another account than it names."""
    message = Message("accounts", b"shop.example/ann\xed\xa0\xbd", None, (), _NOW)
    with pytest.raises(BadInputError, match=r"^accounts: key: should be UTF-8$"):
        read(message)


@pytest.mark.parametrize("half", _HALVES, ids=ascii)
def test_a_policy_is_not_free_text(half: str) -> None:
    """A version that has half a character is not published with another text."""
    with pytest.raises(BadInputError, match=r"^policy-versions: "):
        read(Message("policy-versions", None, json.dumps({"policy": half}).encode(), (), _NOW))


@given(TEXTS)
def test_files_are_read_like_the_bus(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """A line of NDJSON, plain or a whole CloudEvent, is read as a message is."""
    fact = _FACTS["accounts"] | {"name": text}
    attributes = {"specversion": "1.0", "type": "reconsent.account.v1", "source": "s", "id": "1"}
    path = tmp_path_factory.getbasetemp() / "surrogates.ndjson"
    path.write_text(json.dumps(fact) + "\n" + json.dumps(attributes | {"data": fact}) + "\n")
    with validated(str(path), "accounts", _NOW) as file:
        lines = [line.received.data for line in file]
    expected = parse("accounts", json.dumps(fact | {"name": _stored(text)}).encode())
    assert lines == [expected] * 2
    rules = Rules("accounts", _NOW, bytes.fromhex)
    plain = json.dumps(fact | {"name": _stored(text)}).encode()
    assert check_block(path.read_bytes(), rules) == check_block(b"\n".join([plain] * 2), rules)


@pytest.mark.parametrize("name", ["x.ndjson", "x.csv"])
def test_bytes_that_are_not_utf_8_are_told_with_their_line(tmp_path: Path, name: str) -> None:
    """Half a character in bytes is no text at all: nothing is recorded."""
    fact = _FACTS["accounts"]
    head = ",".join(fact) + ",name\n" if name.endswith("csv") else ""
    row = ",".join(fact.values()) + ",%" if head else json.dumps(fact | {"name": "%"})
    path = tmp_path / name
    path.write_bytes((head + row).encode().replace(b"%", b"\xed\xa0\xbd"))
    with (
        pytest.raises(BadInputError, match=rf"^{path}:{2 if head else 1}: not [^\n]+$"),
        validated(str(path), "accounts", _NOW),
    ):
        pytest.fail("what is not UTF-8 was accepted")


@given(TEXTS)
def test_a_webhook_keeps_its_reports(text: str) -> None:
    """SendGrid's words are stored as those on the bus are."""
    event = {
        "reconsent_notice": "39c051cd-1e9e-43ab-8dc0-91497e6d26ec",
        "event": "bounce",
        "timestamp": 1_790_000_000,
        "reason": f"550 {text}".replace("@", ""),
        "sg_event_id": f"id {text}",
    }
    [report] = read_events(json.dumps([event]), _NOW).mail
    assert report.provider_id == f"id {_stored(text)}"
    assert report.reason == " ".join(f"550 {_stored(text)}".replace("@", "").split())


@given(TEXTS)
def test_only_lone_surrogates_are_replaced(text: str) -> None:
    """Whole characters and escaped backslashes stay; so does the length, for errors' columns."""
    for ensure_ascii in (True, False):
        if not ensure_ascii and text != storable(text).replace("\ufffd", "\0"):
            continue
        value = json.dumps(text, ensure_ascii=ensure_ascii).encode()
        changed = with_nul(value)
        assert len(changed) == len(value)
        assert from_json(changed) == re.sub("[\ud800-\udfff]", "\0", _joined(text))
    assert storable(_joined(text)) == _stored(text)
