"""Dead letters as they are shown: as a table, in full, and as JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from reconsent import terminal
from reconsent.domain.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.dead_letters import DeadLetter
    from reconsent.facts.record.dead_letters import Retried


def table(letters: Sequence[DeadLetter]) -> None:
    """Print a line for each letter."""
    terminal.table(
        ("id", "sent (UTC)", "key", "why"),
        ((each.id, _time(each), key_of(each), readable(each.reason)) for each in letters),
    )


def in_short(letter: DeadLetter) -> dict[str, Any]:
    """Return a letter without what it says, as JSON."""
    return {
        "id": str(letter.id),
        "topic": letter.id.topic,
        "key": None if letter.message.key is None else _text(letter.message.key),
        "sent_at": rfc3339(letter.message.timestamp),
        "reason": letter.reason,
        "original_partition": letter.message.partition,
        "original_offset": letter.message.offset,
    }


def whole(letter: DeadLetter) -> dict[str, Any]:
    """Return a letter as JSON; a value that is no JSON object or list is in base64."""
    value = letter.message.value
    said = None if value is None else _json(value)
    as_bytes = None if value is None or said is not None else b64encode(value).decode()
    return in_short(letter) | {
        "exception": letter.exception,
        "consumer_group": letter.group,
        "headers": [[name, _text(value)] for name, value in letter.message.headers],
        "value": said,
        "value_base64": as_bytes,
    }


def told(letter: DeadLetter) -> list[str]:
    """Tell a letter in lines."""
    message = letter.message
    place = f"{letter.id.topic}, partition {message.partition}, offset {message.offset}"
    lines = [
        f"{letter.id}",
        f"why      {letter.reason} ({letter.exception})",
        f"came on  {place}, for the group {letter.group}",
        f"sent     {_time(letter)} UTC",
        f"key      {key_of(letter) or 'none'}",
        *(f"header   {name}: {_text(value)}" for name, value in message.headers),
    ]
    if message.value is None:
        lines.append("value    null")
    else:
        said = _json(message.value)
        text = (
            _text(message.value) if said is None else json.dumps(said, indent=2, ensure_ascii=False)
        )
        lines += ["value", *text.split("\n")]
    return list(map(readable, lines))


def retried(done: Retried) -> dict[str, Any]:
    """Return what became of letters, as JSON."""
    return {
        "taken": [str(letter.id) for letter in done.taken],
        "refused": [{"id": str(letter.id), "reason": why} for letter, why in done.refused],
        "left": list(map(str, done.left)),
        "gone": list(map(str, done.gone)),
    }


def retried_in_words(done: Retried) -> str:
    """Sum up what became of letters."""
    left = f", {len(done.left):,} left behind those" if done.left else ""
    gone = f", {len(done.gone):,} gone meanwhile" if done.gone else ""
    return f"{len(done.taken):,} taken in, {len(done.refused):,} refused again{left}{gone}"


def _time(letter: DeadLetter) -> str:
    return f"{letter.message.timestamp.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _json(value: bytes) -> dict[str, Any] | list[Any] | None:
    """Return a value that is a JSON object or list; None for any other."""
    try:
        said = from_json(value)
        json.dumps(said, allow_nan=False)
    except ValueError:
        return None
    return said if isinstance(said, dict | list) else None


def key_of(letter: DeadLetter) -> str:
    """Return a letter's key for people's eyes; "" if it has none."""
    return "" if letter.message.key is None else readable(_text(letter.message.key))


def _text(content: bytes) -> str:
    return content.decode(errors="backslashreplace")


def readable(text: str) -> str:
    """Escape what could play tricks on a terminal: a message may say anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
