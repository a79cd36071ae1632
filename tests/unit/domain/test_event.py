"""What comes in: facts and their schemas."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import read
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import (
    TOPICS,
    AccountEvent,
    ChoiceEvent,
    CollectionEvent,
    MailEvent,
    key_of,
)
from reconsent.files.schemas import schemas
from tests.unit.domain.samples import (
    ACCOUNT,
    CHOICE,
    COLLECTION,
    MAIL,
    NOW,
    SAMPLES,
    said,
)

SCHEMAS = Path(__file__).parents[3] / "schemas" / "events"


def test_topics_have_their_names_and_keys() -> None:
    """Types and keys are those that others rely on."""
    types = {name: topic.type for name, topic in TOPICS.items()}
    assert types == {
        "policy-versions": "reconsent.policy-version.v1",
        "accounts": "reconsent.account.v1",
        "collections": "reconsent.collection.v1",
        "choices": "reconsent.choice.v1",
        "mail-events": "reconsent.mail-event.v1",
    }
    keys = {name: key_of(name, said(name, SAMPLES[name])) for name in TOPICS}
    assert keys == {
        "policy-versions": b"shop",
        "accounts": b"shop.example/ann/1",
        "collections": b"shop.example/ann/1",
        "choices": b"shop.example/ann/1",
        "mail-events": b"n-1",
    }


def test_absent_null_and_unknown_fields() -> None:
    """An optional field that is null is absent, and what a later version adds is ignored."""
    for topic, optional in {
        "accounts": ("email", "name", "locale", "time_zone", "minor"),
        "collections": ("collected_under", "source", "erased"),
        "choices": (
            "recipient", "data_category", "collected_under", "policy_version", "channel",
            "evidence",
        ),
        "mail-events": ("reason", "provider_id"),
    }.items():  # fmt: skip
        nulls: dict[str, object] = dict.fromkeys(optional)
        assert said(topic, SAMPLES[topic] | nulls | {"added_later": 1}) == said(
            topic, SAMPLES[topic]
        )
    account = said("accounts", ACCOUNT)
    assert isinstance(account, AccountEvent)
    assert account.minor is False
    collection = said("collections", COLLECTION)
    assert isinstance(collection, CollectionEvent)
    assert (collection.source, collection.erased) == ("person", False)


@pytest.mark.parametrize(
    ("topic", "change", "field"),
    [
        ("accounts", {"property": "a b"}, "property"),
        ("accounts", {"property": "a/b"}, "property"),
        ("accounts", {"property": "\u2003"}, "property"),
        ("accounts", {"property": ""}, "property"),
        ("accounts", {"account": ""}, "account"),
        ("accounts", {"account": "a\n"}, "account"),
        ("accounts", {"account": "a\0"}, "account"),
        ("accounts", {"account": "a" * 201}, "account"),
        ("accounts", {"account": 1}, "account"),
        ("accounts", {"status": "gone"}, "status"),
        ("accounts", {"status": None}, "status"),
        ("accounts", {"minor": "true"}, "minor"),
        ("accounts", {"minor": 0}, "minor"),
        ("accounts", {"updated_at": 1764576000}, "updated_at"),
        ("accounts", {"updated_at": "1764576000"}, "updated_at"),
        ("accounts", {"updated_at": "2026-11-01"}, "updated_at"),
        ("accounts", {"updated_at": "2026-11-01T10:00:00"}, "updated_at"),
        ("accounts", {"updated_at": "2026-11-01T10:00Z"}, "updated_at"),
        ("accounts", {"updated_at": "2026-11-01T10:00:00+24:00"}, "updated_at"),
        ("accounts", {"updated_at": "2026-02-30T10:00:00Z"}, "updated_at"),
        ("accounts", {"updated_at": "1899-12-31T10:00:00Z"}, "updated_at"),
        ("accounts", {"updated_at": "9000-01-01T10:00:00Z"}, "updated_at"),
        ("accounts", {"updated_at": "0001-01-01T00:00:00+10:00"}, "updated_at"),
        ("collections", {"data_category": "user..contact"}, "data_category"),
        ("collections", {"data_category": "*"}, "data_category"),
        ("collections", {"collected_under": "*"}, "collected_under"),
        ("collections", {"collected_under": ""}, "collected_under"),
        ("collections", {"collected_under": "1\x85"}, "collected_under"),
        ("collections", {"collected_under": "1" * 101}, "collected_under"),
        ("collections", {"source": "robot"}, "source"),
        ("choices", {"answer": "maybe"}, "answer"),
        ("choices", {"data_use": None}, "data_use"),
        ("choices", {"recipient": "*"}, "recipient"),
        ("choices", {"evidence": [float("nan")]}, "evidence"),
        ("choices", {"evidence": 10**1000}, "evidence"),
        ("mail-events", {"notice": ""}, "notice"),
        ("mail-events", {"event": "opened"}, "event"),
        ("policy-versions", {"follow": "0"}, "follow"),
    ],
)
def test_a_mistake_is_named_with_its_field(
    topic: str, change: dict[str, object], field: str
) -> None:
    """What breaks a key, a time or a choice is refused in one line that names topic and field."""
    with pytest.raises(BadInputError, match=rf"^{topic}: {field}: [^\n]+$"):
        said(topic, SAMPLES[topic] | change)


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b'{"property": "\\ud800"}']
)
def test_anything_but_a_json_object_is_refused(value: bytes) -> None:
    """Anything but a JSON object is a mistake of the input, never a fault."""
    with pytest.raises(BadInputError, match=r"^accounts: "):
        read(Message("accounts", b"shop.example/1", value, (), NOW))


@given(st.datetimes(datetime(1901, 1, 1), datetime(8999, 1, 1)), st.integers(-1439, 1439))  # noqa: DTZ001
def test_times_are_the_same_instant_in_utc(local: datetime, minutes: int) -> None:
    """Whatever the zone, the instant is kept, in UTC."""
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    event = said(
        "accounts", ACCOUNT | {"updated_at": f"{local.isoformat()}{sign}{hours:02}:{rest:02}"}
    )
    assert isinstance(event, AccountEvent)
    assert event.updated_at == local.replace(tzinfo=UTC) - timedelta(minutes=minutes)
    assert event.updated_at.tzinfo is UTC


@pytest.mark.parametrize(
    "address",
    ["", "ann", "a@b@c", "ann @example.com", "<ann@example.com>", "a\n@example.com", "@b", "a@",
     "ann@example.com,bob@example.com", "a" * 250 + "@b.example"],
)  # fmt: skip
def test_an_unusable_address_loses_no_fact(address: str) -> None:
    """Status and contact count even where no mail can go to the address."""
    event = said("accounts", ACCOUNT | {"email": address, "contact": "none"})
    assert isinstance(event, AccountEvent)
    assert (event.email, event.contact) == (None, "none")
    assert event.email is None
    assert event.contact == "none"


def test_an_address_is_kept_as_it_is() -> None:
    """A usable address is not changed, and none stays none."""
    event = said("accounts", ACCOUNT | {"email": "Ann+x@Example.com"})
    assert isinstance(event, AccountEvent)
    assert event.email == "Ann+x@Example.com"
    event = said("accounts", ACCOUNT)
    assert isinstance(event, AccountEvent)
    assert event.email is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(json_values)
def test_evidence_is_any_json(evidence: object) -> None:
    """Evidence is kept as it is; only NUL, which cannot be stored, is replaced."""
    event = said("choices", CHOICE | {"evidence": evidence})
    assert isinstance(event, ChoiceEvent)
    expected = json.dumps(evidence, ensure_ascii=False).replace("\\u0000", "\ufffd")
    if "\\\\" not in expected:
        assert json.dumps(event.evidence, ensure_ascii=False) == expected


@pytest.mark.parametrize(
    ("channel", "kept"),
    [
        ("phone", "phone"),
        ("Call-Center-7", "Call-Center-7"),
        ("x" * 33, "other"),
        ("by Ann on the phone", "other"),
        ("ann@example.org", "other"),
        ("call_center", "other"),
        ("øst", "other"),
        ("", "other"),
        ("phone\n", "other"),
        ("\x00", "other"),
        (None, None),
    ],
)
def test_a_channel_is_one_word(channel: str | None, kept: str | None) -> None:
    """Free text, which may be personal, never enters the ledger, and loses no choice."""
    event = said("choices", CHOICE | {"channel": channel})
    assert isinstance(event, ChoiceEvent)
    assert event.channel == kept


def test_mail_events_keep_their_reason() -> None:
    """A provider's words are kept, save for what cannot be stored."""
    event = said("mail-events", MAIL | {"reason": "550 no\0such user", "provider_id": "x"})
    assert isinstance(event, MailEvent)
    assert (event.reason, event.provider_id) == ("550 no\ufffdsuch user", "x")


def test_schemas_are_in_step() -> None:
    """The schemas in schemas/events are those of the models."""
    written = {path.name: json.loads(path.read_text("utf-8")) for path in SCHEMAS.glob("*.json")}
    assert written == schemas(), "write_schemas of reconsent.files.schemas writes them"
