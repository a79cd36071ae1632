"""An event of each topic, in the forms in which it may come in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import read
from reconsent.domain.event import (
    TOPICS,
    Event,
)

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
ACCOUNT: dict[str, object] = {
    "property": "shop.example",
    "account": "ann/1",
    "status": "active",
    "contact": "service",
    "updated_at": "2026-11-01T10:00:00+02:00",
}


COLLECTION: dict[str, object] = {
    "property": "shop.example",
    "account": "ann/1",
    "data_category": "user.contact",
    "collected_at": "2026-11-01T10:00:00Z",
}


CHOICE: dict[str, object] = {
    "property": "shop.example",
    "account": "ann/1",
    "answer": "deny",
    "data_use": "marketing.communications",
    "decided_at": "2026-11-01T10:00:00Z",
}


MAIL: dict[str, object] = {
    "notice": "n-1",
    "event": "bounced",
    "occurred_at": "2026-11-01T10:00:00Z",
}


POLICY: dict[str, object] = {
    "policy": "shop",
    "version": "1",
    "follows": None,
    "effective_at": "2026-11-01T10:00:00Z",
    "controller": "shop",
    "properties": ["shop.example"],
    "declares": [{"data": "user.contact", "uses": ["essential.service"]}],
    "texts": {"en": {"title": "T", "summary": "S", "body": "B"}},
}


SAMPLES: dict[str, dict[str, object]] = {
    "policy-versions": POLICY,
    "accounts": ACCOUNT,
    "collections": COLLECTION,
    "choices": CHOICE,
    "mail-events": MAIL,
}


def bare(topic: str, data: object, **parts: Any) -> Message:  # noqa: ANN401
    """Make a message of bare data."""
    return Message(topic, b"key", json.dumps(data).encode(), (), NOW)._replace(**parts)


def structured(topic: str, data: object, **attributes: object) -> Message:
    """Make a message in structured mode."""
    event = {
        "specversion": "1.0",
        "type": TOPICS[topic].type,
        "source": "urn:test",
        "id": "7",
        "data": data,
    }
    headers = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
    return bare(topic, event | attributes, headers=headers)


def said(topic: str, data: object) -> Event:
    """Read the data of an event."""
    return read(bare(topic, data)).data
