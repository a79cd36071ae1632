"""CloudEvents around what comes in: their modes, and what is not one."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from reconsent.domain.bus import Message, dead_letter
from reconsent.domain.cloudevents import binary, pack, read
from reconsent.domain.erased_events import without_person
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import (
    TOPICS,
    AccountEvent,
    key_of,
)
from reconsent.domain.event_hash import HASHED, hash_of_event
from tests.unit.domain.samples import (
    ACCOUNT,
    CHOICE,
    NOW,
    SAMPLES,
    bare,
    said,
    structured,
)


def _keyed(text: str) -> bytes:
    return hashlib.sha256(b"key" + text.encode()).digest()


@pytest.mark.parametrize("topic", TOPICS)
def test_every_mode_gives_the_same_event(topic: str) -> None:
    """Bare, binary and structured mode give the same fact, and so does what is made of them."""
    data = json.dumps(SAMPLES[topic]).encode()
    packed = pack(topic, data, source="urn:test", id="7", time=NOW, key=b"key")
    whole = read(structured(topic, SAMPLES[topic]))
    assert whole == read(packed)
    assert (whole.topic, whole.source, whole.id) == (topic, "urn:test", "7")
    alone = read(bare(topic, SAMPLES[topic]))
    assert alone.data == whole.data
    assert (alone.source, alone.id) == ("urn:reconsent:data", hashlib.sha256(data).hexdigest())
    for mode in (packed, structured(topic, SAMPLES[topic]), bare(topic, SAMPLES[topic])):
        made, received = binary(mode)
        assert read(made) == received == read(mode)
        assert made.key == key_of(topic, received.data)
        assert dict(made.headers)["ce_type"] == TOPICS[topic].type.encode()


def test_a_null_value_is_a_deletion() -> None:
    """A tombstone deletes the account of its key, at its time."""
    ce_time = NOW - timedelta(hours=1)
    packed = pack("accounts", None, source="s", id="1", time=ce_time, key=b"shop.example/ann/1")
    for message, at in (
        (packed._replace(timestamp=NOW), ce_time),
        (Message("accounts", b"shop.example/ann/1", None, (), NOW), NOW),
        (structured("accounts", None, subject="shop.example/ann/1"), NOW),
        (structured("accounts", None, subject="shop.example/ann/1", time="2026-01-01T00:00:00Z"),
         datetime(2026, 1, 1, tzinfo=UTC)),
    ):  # fmt: skip
        data = read(message).data
        assert isinstance(data, AccountEvent)
        assert (data.property, data.account) == ("shop.example", "ann/1")
        assert (data.status, data.updated_at) == ("deleted", at)
        made, received = binary(message)
        assert (made.key, made.value) == (b"shop.example/ann/1", None)
        assert read(made) == received


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (Message("accounts", b"ann", None, (), NOW), "accounts: key: "),
        (Message("accounts", b"/ann", None, (), NOW), "accounts: property: "),
        (Message("accounts", None, None, (), NOW), "accounts: key: "),
        (Message("choices", b"shop.example/ann", None, (), NOW), "choices: data: "),
        (Message("weather", b"", b"{}", (), NOW), "weather: "),
        (structured("accounts", ACCOUNT, type="reconsent.choice.v1"), "accounts: type: "),
        (structured("accounts", ACCOUNT, type="reconsent.account.v2"), "accounts: type: "),
        (structured("accounts", ACCOUNT, type=None), "accounts: type: "),
        (structured("accounts", ACCOUNT, specversion="0.3"), "accounts: specversion: "),
        (structured("accounts", ACCOUNT, id=""), "accounts: id: "),
        (structured("accounts", ACCOUNT, id=7), "accounts: id: "),
        (structured("accounts", ACCOUNT, id="i" * 2000), "accounts: id: "),
        (structured("accounts", ACCOUNT, source=None), "accounts: source: "),
        (structured("accounts", ACCOUNT | {"updated_at": 1}), "accounts: updated_at: "),
        (structured("accounts", None, data_base64="?"), "accounts: data_base64: "),
        (bare("accounts", ACCOUNT, headers=(("ce_type", b"other"),)), "accounts: type: "),
        (bare("accounts", ACCOUNT, headers=(("ce_specversion", b"1.0"),)), "accounts: type: "),
        (bare("accounts", ACCOUNT, headers=(("content-type", b"application/cloudevents+avro"),)),
         "accounts: content-type: "),
    ],
)  # fmt: skip
def test_a_malformed_envelope_is_refused(message: Message, what: str) -> None:
    """An envelope that names no event, or another topic's, is refused with the attribute's name."""
    with pytest.raises(BadInputError, match=f"^{what}"):
        read(message)


def test_other_clients_envelopes_are_understood() -> None:
    """A type header alone, a minor version, other headers and base64 are no obstacle."""
    expected = said("accounts", ACCOUNT)
    encoded = base64.b64encode(json.dumps(ACCOUNT).encode()).decode()
    for message in (
        bare("accounts", ACCOUNT, headers=(("ce_type", b"reconsent.account.v1"),)),
        bare("accounts", ACCOUNT, headers=(("traceparent", b"\xff"),)),
        structured("accounts", ACCOUNT, type="reconsent.account.v1.3", added=1),
        structured("accounts", None, data_base64=encoded),
    ):
        assert read(message).data == expected


def test_a_choice_without_its_person_is_the_same_choice() -> None:
    """Other headers and all that was said stay; of source and id a keyed hash, again and again."""
    data = CHOICE | {"evidence": {"ip": "192.0.2.1"}, "added_later": 1}
    expected = said("choices", CHOICE)
    for message in (bare("choices", data), structured("choices", data)):
        dead = dead_letter(message, "intake", ValueError("no"))
        left = without_person(without_person(dead, _keyed), _keyed)
        assert left.value is not None
        assert b"192.0.2.1" not in left.value
        assert b"added_later" in left.value
        again = read(left)
        assert again.data == expected
        before = read(message)
        hashes = {hash_of_event(one.source, one.id, _keyed) for one in (before, again)}
        assert len(hashes) == 1
        assert again.source == HASHED
        assert again.id == hashes.pop().hex()
        assert set(dead.headers[-7:]) <= set(left.headers)
        assert left._replace(value=b"", headers=()) == dead._replace(value=b"", headers=())
