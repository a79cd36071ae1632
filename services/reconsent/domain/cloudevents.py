"""CloudEvents 1.0: decoding and encoding the messages of the bus. RULES 27.

A message comes in binary mode (data with `ce_` headers), in structured mode (the whole event as
JSON, by its content type) or as bare data, whose id is the hash of its bytes. A null value on
accounts is a deletion.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from reconsent.domain.bus import DEAD, Message
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import (
    TOPICS,
    AccountEvent,
    Event,
    Topic,
    key_of,
    parse,
)
from reconsent.domain.events_at_once import parse_at_once
from reconsent.domain.received import Received

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

BARE_SOURCE: Final = "urn:reconsent:data"
STRUCTURED: Final = b"application/cloudevents+json"
_ANY_STRUCTURED: Final = b"application/cloudevents"
_CONTENT_TYPE: Final = "content-type"
_ATTRIBUTES: Final = ("specversion", "type", "source", "id", "time", "subject")
# Source and id of a choice share an index entry, which PostgreSQL limits to 2700 bytes.
_LONGEST_IDENTITY: Final = 1000


class Envelope(NamedTuple):
    """A CloudEvent's attributes as written, and its data as JSON, None for a deletion."""

    source: str
    id: str
    time: bytes | None
    subject: bytes | None
    data: bytes | None


def bare(topic: str, value: bytes, data: Event) -> Received:
    """Return an event that came as bare data; its id is the hash of its bytes."""
    return Received(topic, BARE_SOURCE, hashlib.sha256(value).hexdigest(), data)


def read(message: Message) -> Received:
    """Decode a message. Raises BadInputError: `topic: field: what is wrong`."""
    return decoded(message)[2]


def read_at_once(messages: Sequence[Message]) -> list[Received | BadInputError]:
    """Decode messages of one topic, each as `read` does; return the error of one it would raise."""
    envelopes_or_none = [_envelope_or_none(message) for message in messages]
    envelopes = [one for one in envelopes_or_none if one is not None and one.data is not None]
    if messages and len(envelopes) == len(messages):
        topic = _topic(messages[0]).name
        events = parse_at_once(topic, [one.data or b"" for one in envelopes])
        if events is not None:
            return [
                Received(topic, one.source, one.id, event, message.came_in)
                for one, event, message in zip(envelopes, events, messages, strict=True)
            ]
    return [_read_or_error(message) for message in messages]


def _envelope_or_none(message: Message) -> Envelope | None:
    try:
        return _open(_topic(message), message)
    except BadInputError:
        return None


def _read_or_error(message: Message) -> Received | BadInputError:
    try:
        return read(message)
    except BadInputError as error:
        return error


def binary(message: Message) -> tuple[Message, Received]:
    """Return a message in binary mode with its proper key, and the decoded event.

    Bare data keeps the hash of its bytes as id. Raises BadInputError as `read` does.
    """
    topic, envelope, received = decoded(message)
    key = key_of(topic.name, received.data)
    return in_binary(topic, envelope, message._replace(key=key)), received


def pack(
    topic: str,
    data: bytes | None,
    *,
    source: str,
    id: str,  # noqa: A002 - the attribute's name
    time: datetime,
    key: bytes,
) -> Message:
    """Return a message in binary mode with JSON data, None for a tombstone."""
    envelope = Envelope(source, id, time.isoformat().encode(), None, data)
    message = Message(topic, key, None, (), time)
    return in_binary(TOPICS[topic], envelope, message)


def decoded(message: Message) -> tuple[Topic, Envelope, Received]:
    """Decode a message; also return its topic and its envelope. Raises BadInputError as `read`."""
    try:
        topic = _topic(message)
        envelope = _open(topic, message)
        data = _data(topic, envelope, message)
    except BadInputError as error:
        raise BadInputError(f"{message.topic}: {error}") from error
    source, identity = envelope.source, envelope.id
    return topic, envelope, Received(topic.name, source, identity, data, message.came_in)


def _topic(message: Message) -> Topic:
    topic = TOPICS.get(message.topic.removesuffix(DEAD))
    if topic is None:
        raise BadInputError("is not an input topic")
    return topic


def _data(topic: Topic, envelope: Envelope, message: Message) -> Event:
    if envelope.data is not None:
        return parse(topic.name, envelope.data)
    if topic.model is not AccountEvent:
        raise BadInputError("data: missing")
    subject = _text("key", envelope.subject or message.key) or ""
    property_name, slash, account = subject.partition("/")
    if not slash:
        raise BadInputError("key: should be PROPERTY/ACCOUNT, because there is no data")
    time = (envelope.time or message.timestamp.isoformat().encode()).decode(errors="replace")
    deleted = {"property": property_name, "account": account, "updated_at": time}
    deleted |= {"status": "deleted", "contact": "none"}
    return parse(topic.name, to_json(deleted))


def _open(topic: Topic, message: Message) -> Envelope:
    headers = dict(message.headers)
    content_type = headers.get(_CONTENT_TYPE, b"")
    if content_type.startswith(_ANY_STRUCTURED):
        if not content_type.startswith(STRUCTURED):
            raise BadInputError(f"content-type: only {STRUCTURED.decode()} is supported")
        return _structured(topic, message.value or b"")
    time = headers.get("ce_time")
    if "ce_specversion" not in headers:
        if "ce_type" in headers:
            _check_type(topic, _text("type", headers["ce_type"]))
        digest = hashlib.sha256(message.value or b"").hexdigest()
        return Envelope(BARE_SOURCE, digest, time, None, message.value)
    said = headers["ce_specversion"], headers.get("ce_type"), headers.get("ce_source")
    return Envelope(
        _checked_source(topic.name, *said),
        _identity("id", _text("id", headers.get("ce_id"))),
        time,
        headers.get("ce_subject"),
        message.value,
    )


@lru_cache(maxsize=256)
def _checked_source(topic: str, version: bytes, type_: bytes | None, source: bytes | None) -> str:
    """Return the source, if version and type are right. Most messages have the same three."""
    _check_version(_text("specversion", version))
    _check_type(TOPICS[topic], _text("type", type_))
    return _identity("source", _text("source", source))


def _structured(topic: Topic, value: bytes) -> Envelope:
    try:
        event: Any = from_json(topic.readable(value), allow_inf_nan=False)
    except ValueError as error:
        raise BadInputError(f"not JSON: {error}") from error
    if not isinstance(event, dict):
        raise BadInputError("should be a CloudEvent")
    texts = {name: event.get(name) for name in _ATTRIBUTES}
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise BadInputError(f"{name}: should be a string")
    _check_version(texts["specversion"])
    _check_type(topic, texts["type"])
    time, subject = (text and text.encode() for text in (texts["time"], texts["subject"]))
    return Envelope(
        _identity("source", texts["source"]),
        _identity("id", texts["id"]),
        time,
        subject,
        _structured_data(event),
    )


def _structured_data(event: dict[str, Any]) -> bytes | None:
    if event.get("data_base64") is not None:
        try:
            return b64decode(event["data_base64"], validate=True)
        except (ValueError, TypeError) as error:
            raise BadInputError("data_base64: should be base64") from error
    return None if event.get("data") is None else to_json(event["data"])


def _text(name: str, value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError as error:
        raise BadInputError(f"{name}: should be UTF-8") from error


def _check_version(version: str | None) -> None:
    if version is None or not version.startswith("1."):
        raise BadInputError("specversion: should be 1.0")


def _check_type(topic: Topic, given: str | None) -> None:
    # Also a later minor version, which only adds fields.
    if given != topic.type and not (given or "").startswith(f"{topic.type}."):
        raise BadInputError(f"type: should be {topic.type}")


def _identity(name: str, text: str | None) -> str:
    if not text:
        raise BadInputError(f"{name}: missing")
    if len(text.encode()) > _LONGEST_IDENTITY or "\0" in text:
        raise BadInputError(f"{name}: should be up to {_LONGEST_IDENTITY} bytes without NUL")
    return text


def in_binary(topic: Topic, envelope: Envelope, message: Message) -> Message:
    """Write an envelope into a message's headers, and keep all its other headers."""
    parts = {
        "ce_specversion": b"1.0",
        "ce_type": topic.type.encode(),
        "ce_source": envelope.source.encode(),
        "ce_id": envelope.id.encode(),
        "ce_time": envelope.time,
        _CONTENT_TYPE: b"application/json" if envelope.data is not None else None,
    }
    headers = [(name, value) for name, value in parts.items() if value is not None]
    headers += [
        header for header in message.headers if header[0] not in parts and header[0] != "ce_subject"
    ]
    return message._replace(value=envelope.data, headers=tuple(headers))
