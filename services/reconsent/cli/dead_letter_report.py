"""The output of dead letters: as a table, in full, and as JSON."""

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
    """Return a letter as JSON, without headers and value."""
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
    """Return a letter as JSON; a value that is not a JSON object or array is in base64."""
    value = letter.message.value
    parsed = None if value is None else _json(value)
    as_bytes = None if value is None or parsed is not None else b64encode(value).decode()
    return in_short(letter) | {
        "exception": letter.exception,
        "consumer_group": letter.group,
        "headers": [[name, _text(value)] for name, value in letter.message.headers],
        "value": parsed,
        "value_base64": as_bytes,
    }


def as_lines(letter: DeadLetter) -> list[str]:
    """Return the lines that show a letter in full."""
    message = letter.message
    place = f"{letter.id.topic}, partition {message.partition}, offset {message.offset}"
    shown = [
        f"{letter.id}",
        f"why      {letter.reason} ({letter.exception})",
        f"from     {place}, for the group {letter.group}",
        f"sent     {_time(letter)} UTC",
        f"key      {key_of(letter) or 'none'}",
        *(f"header   {name}: {_text(value)}" for name, value in message.headers),
    ]
    if message.value is None:
        shown.append("value    null")
    else:
        parsed = _json(message.value)
        text = (
            _text(message.value)
            if parsed is None
            else json.dumps(parsed, indent=2, ensure_ascii=False)
        )
        shown += ["value", *text.split("\n")]
    return list(map(readable, shown))


def retried(done: Retried) -> dict[str, Any]:
    """Return the result of a retry as JSON."""
    return {
        "taken": [str(letter.id) for letter in done.taken],
        "refused": [{"id": str(letter.id), "reason": reason} for letter, reason in done.refused],
        "left": list(map(str, done.left)),
        "gone": list(map(str, done.gone)),
    }


def retried_in_words(done: Retried) -> str:
    """Summarize the result of a retry."""
    left = f", {len(done.left):,} later ones not tried" if done.left else ""
    gone = f", {len(done.gone):,} no longer there" if done.gone else ""
    return f"{len(done.taken):,} recorded, {len(done.refused):,} refused again{left}{gone}"


def _time(letter: DeadLetter) -> str:
    return f"{letter.message.timestamp.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _json(value: bytes) -> dict[str, Any] | list[Any] | None:
    """Parse a JSON object or array; return None for anything else."""
    try:
        parsed = from_json(value)
        json.dumps(parsed, allow_nan=False)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict | list) else None


def key_of(letter: DeadLetter) -> str:
    """Return a letter's key in printable form; "" if it has none."""
    return "" if letter.message.key is None else readable(_text(letter.message.key))


def _text(content: bytes) -> str:
    return content.decode(errors="backslashreplace")


def readable(text: str) -> str:
    """Escape unprintable characters: a message may contain terminal control codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
