"""Files of events to be recorded: checked in one pass, which writes their rows aside.

A large file is checked by several processes, block by block. The rows of a large file
are kept in a temporary file that has no name.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import pickle
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.files.checkers import PROCESSES, Checkers
from reconsent.files.checking import (
    MOST_NAMES,
    Checked,
    Mistake,
    Part,
    Rules,
    Seen,
    check_block,
    check_lines,
)
from reconsent.files.csv_events import csv_data
from reconsent.files.events import STDIN, rereadable
from reconsent.files.lines import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconsent.domain.unknown_names import Names

_BLOCK: Final = 3 * 1024 * 1024
_ROWS: Final = 10_000
_IN_MEMORY: Final = 16 * 1024 * 1024

Show = Callable[[int, int, int], None]
"""Reports progress: the bytes read so far, the total bytes, and the events so far."""


class Block(NamedTuple):
    """Some events of a file: those after one number and up to another, lane by lane.

    The first one begins after so many lines. Positions and line numbers in the parts begin with 1.
    """

    after: int
    upto: int
    lines: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class StagedFile:
    """A file of a topic's events, all of them well formed."""

    name: str
    rules: Rules
    digest: bytes
    count: int
    content: IO[bytes]
    names: Mapping[Names, Seen]
    """How many events have the same names, and the line of the first."""
    early: Seen | None
    """Those that are dated ahead by more than clocks may differ."""

    @property
    def topic(self) -> str:
        """The topic of its events."""
        return self.rules.topic

    def blocks(self) -> Iterator[Block]:
        """Read all events from the start."""
        self.content.seek(0)
        passed = 0
        while passed < self.count:
            block: Block = pickle.load(self.content)  # noqa: S301 -- written below
            passed = block.upto
            yield block


@contextmanager
def staged(path: str, rules: Rules, show: Show = lambda *_: None) -> Iterator[StagedFile]:
    """Open a file of events (`-` is standard input), and check every line before the block runs.

    One malformed line rejects the whole file: it raises BadInputError, `FILE:LINE: field: what is
    wrong`. The same pass computes the digest, and calls `show` now and then.
    """
    name = "standard input" if path == STDIN else path
    with rereadable(path) as content, tempfile.SpooledTemporaryFile(_IN_MEMORY) as aside:
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        digested = _Digested(content)
        found = _table(digested, name, rules) if rules.is_csv else _lines(digested, rules)
        events = lines = 0
        names: dict[Names, Seen] = {}
        early: Seen | None = None
        for checked in found:
            if isinstance(checked, Mistake):
                raise BadInputError(f"{name}:{lines + checked.number}: {checked.what}")
            _put_aside(Block(events, events + checked.events, lines, checked.parts), aside)
            _add_names(names, checked, lines)
            if checked.early:
                early = early or Seen(0, lines + checked.early.line)
                early = Seen(early.events + checked.early.events, early.line)
            events += checked.events
            lines += checked.lines
            show(content.tell(), size, events)
        digest = digested.sha256.digest()
        yield StagedFile(
            name=name,
            rules=rules,
            digest=digest,
            count=events,
            content=aside,
            names=names,
            early=early,
        )


def _add_names(names: dict[Names, Seen], checked: Checked, lines: int) -> None:
    for one, (events, line) in checked.names.items():
        seen = names.get(one)
        if seen is not None:
            names[one] = Seen(seen.events + events, seen.line)
        elif len(names) < MOST_NAMES:
            names[one] = Seen(events, lines + line)


class _Digested:
    """A file that is read once, and the digest of what was read so far."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self.sha256 = hashlib.sha256()

    def readline(self, limit: int, /) -> bytes:
        line = self._content.readline(limit)
        self.sha256.update(line)
        return line

    def read(self, size: int, /) -> bytes:
        some = self._content.read(size)
        self.sha256.update(some)
        return some


def _put_aside(block: Block, aside: IO[bytes]) -> None:
    try:
        pickle.dump(block, aside, pickle.HIGHEST_PROTOCOL)
        aside.flush()
    except OSError as error:
        message = f"temporary folder: {error.strerror}; nothing was recorded"
        raise OutsideError(message) from error


def _table(content: _Digested, name: str, rules: Rules) -> Iterator[Checked | Mistake]:
    """Check the rows of CSV. Those before one that cannot be read come before its error."""
    found: list[tuple[int, bytes]] = []
    try:
        for row in csv_data(content, name, rules.topic):
            found.append(row)
            if len(found) == _ROWS:
                yield check_lines(found, 0, rules)
                found = []
    except BadInputError:
        yield check_lines(found, 0, rules)
        raise
    yield check_lines(found, 0, rules)


def _lines(content: _Digested, rules: Rules) -> Iterator[Checked | Mistake]:
    """Check the lines of NDJSON; more than one block in several processes."""
    blocks = _blocks(content)
    first = next(blocks, b"").removeprefix(codecs.BOM_UTF8)
    second = next(blocks, None)
    if second is None:
        yield check_block(first, rules)
        return
    with Checkers(rules) as checkers:
        checking = deque([checkers.submit(first), checkers.submit(second)])
        for block in blocks:
            if len(checking) > PROCESSES:
                yield checking.popleft().result()
            checking.append(checkers.submit(block))
        while checking:
            yield checking.popleft().result()


def _blocks(content: _Digested) -> Iterator[bytes]:
    """Read blocks of whole lines; a line that is too long to keep in memory ends a block."""
    while block := content.read(_BLOCK):
        yield block if block.endswith(b"\n") else block + content.readline(LONGEST_LINE + 1)
