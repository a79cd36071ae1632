"""The numbered lines of a file."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final, Protocol

from reconsent.domain.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LINE: Final = 16 * 1024 * 1024


class Readable(Protocol):
    """A source of lines."""

    def readline(self, limit: int, /) -> bytes:
        """Return the next line, but no more than `limit` bytes of it; empty at the end."""
        ...


def lines_of(content: Readable, name: str) -> Iterator[tuple[int, bytes]]:
    """Read numbered lines with their line ends.

    Raises BadInputError, with the place, for a line that is too long to keep in memory.
    """
    number = 0
    while line := content.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise BadInputError(f"{name}:{number}: longer than {LONGEST_LINE} bytes")
        yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
