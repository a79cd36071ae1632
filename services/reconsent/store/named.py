"""Named SQL in sql/, one file for each module that runs it: a query has a name and a sentence.

`-- :include NAME` stands for the part of that name in sql/fragments.sql.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, LiteralString, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME: Final = re.compile(r"^-- :name (\w+)\n", re.MULTILINE)
_INCLUDE: Final = re.compile(r"^-- :include (\w+)$", re.MULTILINE)
_FRAGMENTS: Final = "fragments"


@cache
def named(room: str) -> Mapping[str, LiteralString]:
    """Return the queries of one module, such as record/accounts, by their names."""
    text = files("reconsent.store").joinpath("sql", f"{room}.sql").read_text("utf-8")
    if room != _FRAGMENTS:
        text = _INCLUDE.sub(lambda found: named(_FRAGMENTS)[found[1]], text)
    _, *parts = _NAME.split(text)
    # The files are part of the program, so their text is as literal as the code around it.
    return {
        name: cast("LiteralString", sql.strip())
        for name, sql in zip(parts[::2], parts[1::2], strict=True)
    }
