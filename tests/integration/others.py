"""A consumer of the published topics: it keeps the last value of each key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from reconsent.domain.bus import Message
from reconsent.domain.errors import OutsideError
from reconsent.domain.published import PUBLISHED
from reconsent.domain.use import Use, covers

Facts = dict[str, Any]


class Others:
    """A bus with its readers, which may break after some messages.

    `breaks` tells for each time that messages are sent how many arrive before it breaks; None and
    after the last: all of them. The sender cannot tell how many arrived.
    """

    def __init__(self, breaks: Iterable[int | None] = ()) -> None:
        """Start without messages."""
        self._breaks = iter(breaks)
        self.read: dict[str, list[Message]] = {topic: [] for topic in PUBLISHED}
        self._contents: dict[tuple[str, bytes], bytes | None] = {}

    def send(self, messages: Sequence[Message]) -> None:
        """Deliver all messages, or some and fail."""
        arriving = next(self._breaks, None)
        for message in messages[:arriving]:
            named = message.topic, _id(message)
            assert self._contents.setdefault(named, message.value) == message.value, named
            self.read[message.topic].append(message)
        if arriving is not None:
            raise OutsideError("the bus broke")

    def close(self) -> None:
        """Do nothing."""

    def told(self, topic: str) -> dict[str, tuple[str, Any]]:
        """Return the last value of each key, with the account's name.

        Consumers that deduplicate by event id have the same.
        """
        return told(self.read[topic])


def told(messages: Iterable[Message]) -> dict[str, tuple[str, Any]]:
    """Return the last value of each key in messages, with the account's name."""
    last: dict[str, tuple[str, Any]] = {}
    seen: set[bytes] = set()
    for message in messages:
        key = (message.key or b"").decode()
        headers = dict(message.headers)
        assert headers["ce_subject"] == message.key
        assert headers["ce_type"].decode() == f"reconsent.{message.topic[:-1]}.v1"
        value = None if message.value is None else json.loads(message.value)
        if message.value is not None:
            PUBLISHED[message.topic].model_validate_json(message.value)
        assert (headers.get("content-type") is None) == (value is None)
        if _id(message) not in seen:
            last[_id(message).decode().rsplit(".", 2)[0]] = key, value
        seen.add(_id(message))
    return last


def _id(message: Message) -> bytes:
    return dict(message.headers)["ce_id"]


def lists(value: Facts, use: Use, at: datetime) -> bool:
    """Tell whether an account's permissions list a use, or one that covers it, by a time."""
    return any(
        covers(
            Use(one["data_category"], held["collected_under"], one["data_use"], one["recipient"]),
            use,
        )
        and datetime.fromisoformat(one["from"]) <= at
        for held in value["permissions"]
        for one in held["allowed"]
    )
