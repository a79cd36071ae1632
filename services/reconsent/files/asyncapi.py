"""schemas/asyncapi.yaml: the topics for other systems, generated from their declarations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from reconsent.domain.event import TOPICS
from reconsent.domain.published import PUBLISHED
from reconsent.domain.topics import LAYOUTS, TopicLayout

if TYPE_CHECKING:
    from pathlib import Path

_VERSION = "3.0.0"
_BINDING = "0.5.0"
_ACTIONS = {"input": "receive", "output": "send", "dead letters": "send"}
_HEADERS = {
    "type": "object",
    "description": "CloudEvents 1.0, binary mode. Inputs may come in structured mode, or bare.",
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_type": {"type": "string"},
        "ce_source": {"type": "string"},
        "ce_id": {"type": "string", "description": "The same when the event is sent again."},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_subject": {"type": "string", "description": "PROPERTY/ACCOUNT, on output topics."},
        "content-type": {"type": "string"},
    },
}


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI document of all topics."""
    return {
        "asyncapi": _VERSION,
        "info": {
            "title": "reconsent",
            "version": "1",
            "description": "The events that reconsent takes in and sends out.",
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(layout) for name, layout in LAYOUTS.items()},
        "operations": {name: _operation(layout) for name, layout in LAYOUTS.items()},
        "components": {
            "messages": {layout.singular: _message(layout) for layout in LAYOUTS.values()},
            "schemas": {"cloudevent": _HEADERS},
        },
    }


def write_asyncapi(path: Path) -> None:
    """Write the document to a file."""
    text = yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=100)
    path.write_text(f"# Made by reconsent.files.asyncapi.\n{text}", "utf-8")


def _channel(layout: TopicLayout) -> dict[str, Any]:
    config: dict[str, Any] = dict(layout.config)
    config["cleanup.policy"] = [config["cleanup.policy"]]
    for number in ("retention.ms", "max.message.bytes"):
        config[number] = int(config[number])
    return {
        "address": f"{{prefix}}{layout.name}",
        "description": layout.about,
        "parameters": {"prefix": {"description": "RECONSENT_TOPIC_PREFIX.", "default": ""}},
        "messages": {layout.singular: {"$ref": f"#/components/messages/{layout.singular}"}},
        "bindings": {
            "kafka": {
                "partitions": layout.partitions,
                "topicConfiguration": config,
                "bindingVersion": _BINDING,
            }
        },
    }


def _operation(layout: TopicLayout) -> dict[str, Any]:
    return {
        "action": _ACTIONS[layout.role],
        "summary": layout.about,
        "channel": {"$ref": f"#/channels/{layout.name}"},
    }


def _message(layout: TopicLayout) -> dict[str, Any]:
    """Describe a topic's messages; those of dead letters are the messages of their topic."""
    declared = LAYOUTS[layout.name.removesuffix(".dead")]
    message: dict[str, Any] = {
        "name": declared.type,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/cloudevent"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": declared.key},
                "bindingVersion": _BINDING,
            }
        },
    }
    if declared.name in TOPICS or declared.name in PUBLISHED:
        message["payload"] = {"$ref": f"events/{declared.name}.v1.json"}
    return message
