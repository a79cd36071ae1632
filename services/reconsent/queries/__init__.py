"""Named SQL, one file a noun: each query has a name and a sentence."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, LiteralString, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"^-- :name (\w+)\n", re.MULTILINE)


@cache
def named(noun: str) -> Mapping[str, LiteralString]:
    """Return a noun's queries by their names."""
    text = files(__name__).joinpath(f"{noun}.sql").read_text("utf-8")
    _, *parts = _NAME.split(text)
    # The files are part of the program, so their text is as literal as the code around it.
    return {
        name: cast("LiteralString", sql.strip())
        for name, sql in zip(parts[::2], parts[1::2], strict=True)
    }
