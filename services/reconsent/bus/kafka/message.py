"""Messages in Kafka's form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from reconsent.domain.bus import Message
from reconsent.domain.errors import BadInputError
from reconsent.domain.topics import LARGEST_MESSAGE

# Room for what Kafka adds to a message.
_OVERHEAD: Final = 4096
_SMALL: Final = LARGEST_MESSAGE - _OVERHEAD
_LOG_APPEND_TIME: Final = 1
_FIRST_TIME: Final = datetime.min.replace(tzinfo=UTC)
_LAST_TIME: Final = datetime.max.replace(tzinfo=UTC)


def check_size(message: Message) -> None:
    """Raise BadInputError for a message that Kafka cannot hold."""
    if message.key is None and message.value is None:
        raise BadInputError(f"{message.topic}: a message needs a key or a value")
    content = len(message.key or b"") + len(message.value or b"")
    # No character of a header's name takes more than four bytes.
    if content + sum([4 * len(name) + len(value) for name, value in message.headers]) < _SMALL:
        return
    size = content + sum(len(name.encode()) + len(value) for name, value in message.headers)
    if size > LARGEST_MESSAGE - _OVERHEAD:
        raise BadInputError(
            f"{message.topic}: the message has {size:,} bytes; "
            f"{LARGEST_MESSAGE - _OVERHEAD:,} are allowed"
        )


def from_record(topic: str, record: Any) -> Message:  # noqa: ANN401 -- the library has no types
    """Return a consumed record as a message; `topic` is the name without the prefix."""
    return Message(
        topic,
        record.key,
        record.value,
        tuple([(name, value or b"") for name, value in record.headers]),
        _time(record.timestamp),
        record.partition,
        record.offset,
        record.timestamp_type == _LOG_APPEND_TIME,
    )


def _time(milliseconds: int) -> datetime:
    """Return a message's time, clamped to what datetime can represent."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return _FIRST_TIME if milliseconds < 0 else _LAST_TIME
