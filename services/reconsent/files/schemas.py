"""The JSON Schemas of all topics, generated from the models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconsent.domain.event import TOPICS
from reconsent.domain.published import PUBLISHED

if TYPE_CHECKING:
    from pathlib import Path


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each topic's data by the name of its file."""
    models = {topic.name: topic.model for topic in TOPICS.values()} | dict(PUBLISHED)
    return {
        f"{name}.v1.json": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:reconsent:schema:{name}.v1",
        }
        | model.model_json_schema()
        for name, model in models.items()
    }


def write_schemas(folder: Path) -> None:
    """Write each schema to its file."""
    for name, schema in schemas().items():
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        folder.joinpath(name).write_text(f"{text}\n", "utf-8")
