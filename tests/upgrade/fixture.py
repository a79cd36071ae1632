"""The files of the fixture."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Final

from tests.upgrade.place import Json

FOLDER: Final = Path(__file__).parent
DATABASE: Final = "before_0014.sql.gz"
ANSWERS: Final = "before_0014.json.gz"
WORDS: Final = "words.json"
"""What pages say is apart: words may be changed on purpose."""


def database_sql() -> str:
    """Return the statements that make the database of before."""
    return gzip.decompress((FOLDER / DATABASE).read_bytes()).decode()


def recorded_answers() -> Json:
    """Return what the program of before answered."""
    return dict(json.loads(gzip.decompress((FOLDER / ANSWERS).read_bytes())))


def recorded_words() -> dict[str, str]:
    """Return what each page said."""
    kept = json.loads((FOLDER / WORDS).read_text("utf-8"))
    return {path: kept["texts"][number] for path, number in kept["pages"].items()}


def words_json(words: dict[str, str]) -> str:
    """Return what each page says, each text once, so that a change of words is a short diff."""
    texts = list(dict.fromkeys(words.values()))
    kept = {"texts": texts, "pages": {path: texts.index(text) for path, text in words.items()}}
    return json.dumps(kept, ensure_ascii=False, indent=1) + "\n"


def write(path: Path, text: str) -> None:
    """Write a compressed file that is the same whenever it is written."""
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
