"""The JSON Schemas of what may come in, made from the models that read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconsent.domain.event import TOPICS

if TYPE_CHECKING:
    from pathlib import Path


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each input's data by the name of its file."""
    return {
        f"{topic.name}.v1.json": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:reconsent:schema:{topic.name}.v1",
        }
        | topic.model.model_json_schema()
        for topic in TOPICS.values()
    }


def write_schemas(folder: Path) -> None:
    """Write each schema to its file."""
    for name, schema in schemas().items():
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        folder.joinpath(name).write_text(f"{text}\n", "utf-8")
