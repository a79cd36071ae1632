"""Steps as messages on the bus, in each form that an event may have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from random import Random
from typing import Any, Final
from uuid import UUID

from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import STRUCTURED, pack
from tests.model.steps import Publish, Record, Report, Step, Tombstone
from tests.model.story import stream

MESSAGES: Final = (Publish, Record, Tombstone, Report)
_SOURCE: Final = "urn:reconsent:tests"


def message(step: Step) -> Message:
    """Return the message of a step other than a report."""
    match step:
        case Publish():
            return _packed("policy-versions", step.document, step.document["policy"], step.now)
        case Record():
            key = "/".join((step.data["property"], step.data["account"]))
            return _packed(step.topic, step.data, key, step.now, step.identity)
        case Tombstone():
            return Message("accounts", "/".join(step.key).encode(), None, (), step.at)
    raise TypeError(f"no message: {step}")


def report(step: Report, notice: UUID | None) -> Message:
    """Return the message of a provider's report of a notice, or of an address."""
    named = {"email": step.email} if notice is None else {"notice": str(notice)}
    data = (
        named
        | {
            "event": step.event,
            "occurred_at": step.occurred_at.isoformat(),
            "provider_id": step.identity,
        }
        | ({"reason": step.reason} if step.reason else {})
    )
    return _packed("mail-events", data, str(notice or ""), step.now)


def _packed(
    topic: str, data: Mapping[str, Any], key: str, now: datetime, identity: str = ""
) -> Message:
    """Return an event in one of the forms that it may have."""
    value = json.dumps(data).encode()
    # Bare data has no event id, which choices need.
    form = len(value) % 3 if topic != "choices" else len(value) % 2
    if form == 2:
        return Message(topic, key.encode(), value, (), now)
    message = pack(
        topic, value, source=_SOURCE, id=identity or str(len(value)), time=now, key=key.encode()
    )
    if form == 0:
        return message
    attributes = {
        name.removeprefix("ce_"): text.decode()
        for name, text in message.headers
        if name.startswith("ce_")
    }
    event = json.dumps(attributes | {"data": data}).encode()
    return Message(topic, key.encode(), event, (("content-type", STRUCTURED),), now)


def interleaved(steps: Iterable[Step], chance: Random) -> list[Step]:
    """Return messages in another interleaving; each topic and key keeps its order."""
    streams: dict[object, list[Step]] = {}
    for step in steps:
        streams.setdefault(stream(step), []).append(step)
    drawn = [name for name, sent in streams.items() for _ in sent]
    chance.shuffle(drawn)
    return [streams[name].pop(0) for name in drawn]
