"""Files of events: NDJSON or CSV, read lazily, one message per line.

A line of NDJSON is a whole CloudEvent or only its data; a CSV's columns are the data's fields. The
same line always gives the same event id.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple, Protocol

from pydantic_core import from_json

from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import STRUCTURED, Received, binary
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import TOPICS
from reconsent.domain.policy import PolicyVersion

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from pydantic.fields import FieldInfo

STDIN: Final = "-"
LONGEST_LINE: Final = 16 * 1024 * 1024
_SHOWN: Final = 10_000
_BOOLEANS: Final = {"true": True, "false": False}


Show = Callable[[int, int, int], None]
"""Reports progress: the bytes read so far, the total bytes, and the events so far."""


class Readable(Protocol):
    """A source of lines."""

    def readline(self, limit: int, /) -> bytes:
        """Return the next line, but no more than `limit` bytes of it; empty at the end."""
        ...


class Line(NamedTuple):
    """One event of a file: the line it begins on, its message, and the decoded event."""

    number: int
    message: Message
    received: Received


@dataclass(frozen=True, kw_only=True)
class EventFile:
    """A file of a topic's events, all of them well formed."""

    name: str
    topic: str
    now: datetime
    content: IO[bytes]
    is_csv: bool
    size: int
    digest: bytes = b""
    count: int = 0

    def __iter__(self) -> Iterator[Line]:
        """Read the events from the start, without keeping them in memory."""
        self.content.seek(0)
        return _events(self.content, self)

    @property
    def position(self) -> int:
        """How many of the `size` bytes were read."""
        return self.content.tell()


@contextmanager
def validated(
    path: str, topic: str, now: datetime, show: Show = lambda *_: None
) -> Iterator[EventFile]:
    """Open a file of events (`-` is standard input), and check every line before the block runs.

    One malformed line rejects the whole file: it raises BadInputError, `FILE:LINE: field: what is
    wrong`. The same pass computes the digest, and calls `show` now and then. `now` is the timestamp
    of the messages.
    """
    with _rereadable(path) as content:
        unread = EventFile(
            name="standard input" if path == STDIN else path,
            topic=topic,
            now=now,
            content=content,
            is_csv=path.lower().endswith(".csv"),
            size=content.seek(0, os.SEEK_END),
        )
        content.seek(0)
        digested = _Digested(content)
        count = 0
        for count, _ in enumerate(_events(digested, unread), 1):
            if count % _SHOWN == 0:
                show(unread.position, unread.size, count)
        yield replace(unread, count=count, digest=digested.sha256.digest())


class _Digested:
    """Lines, and the digest of the lines read so far."""

    def __init__(self, content: Readable) -> None:
        self._content = content
        self.sha256 = hashlib.sha256()

    def readline(self, limit: int, /) -> bytes:
        line = self._content.readline(limit)
        self.sha256.update(line)
        return line


@contextmanager
def _rereadable(path: str) -> Iterator[IO[bytes]]:
    """Open a regular file, or a copy of anything else, so that it can be read twice."""
    try:
        # Entered below: only errors of opening are caught here.
        opened = nullcontext(sys.stdin.buffer) if path == STDIN else Path(path).open("rb")  # noqa: SIM115
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from error
    with opened as content:
        if path != STDIN and Path(path).is_file():
            yield content
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(content, copy)
            yield copy


def _events(content: Readable, file: EventFile) -> Iterator[Line]:
    messages = _csv_messages if file.is_csv else _ndjson_messages
    for number, message in messages(content, file):
        try:
            made, received = binary(message)
        except BadInputError as error:
            what = str(error).removeprefix(f"{file.topic}: ")
            raise BadInputError(f"{file.name}:{number}: {what}") from error
        yield Line(number, made, received)


def _ndjson_messages(content: Readable, file: EventFile) -> Iterator[tuple[int, Message]]:
    for number, line in lines_of(content, file.name):
        data = line.removesuffix(b"\n").removesuffix(b"\r")
        if not data.strip():
            continue
        headers = (("content-type", STRUCTURED),) if _is_cloudevent(data) else ()
        yield number, Message(file.topic, None, data, headers, file.now)


def _is_cloudevent(data: bytes) -> bool:
    if b'"specversion"' not in data:
        return False
    try:
        event = from_json(data)
    except ValueError:
        return False
    return isinstance(event, dict) and "specversion" in event


def _csv_messages(content: Readable, file: EventFile) -> Iterator[tuple[int, Message]]:
    rows = _csv_rows(content, file.name)
    _, columns = next(rows, (1, []))
    wrong = _mistake_in_header(columns, file.topic)
    if wrong:
        raise BadInputError(f"{file.name}:1: {wrong}")
    booleans = {name for name, field in _fields(file.topic).items() if field.annotation is bool}
    for number, cells in rows:
        if len(cells) != len(columns):
            raise BadInputError(
                f"{file.name}:{number}: has {len(cells)} cells for {len(columns)} columns"
            )
        data: dict[str, str | bool] = {
            column: cell for column, cell in zip(columns, cells, strict=True) if cell
        }
        for column in booleans & data.keys():
            data[column] = _BOOLEANS.get(str(data[column]).lower(), data[column])
        value = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        yield number, Message(file.topic, None, value.encode(), (), file.now)


def _csv_rows(content: Readable, name: str) -> Iterator[tuple[int, list[str]]]:
    """Read the rows that are not empty, each with the number of the line it begins on."""
    texts = (_text(line, f"{name}:{number}") for number, line in lines_of(content, name))
    reader = csv.reader(texts, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadInputError(f"{name}:{number}: {error}") from error
        if cells:
            yield number, cells


def _text(line: bytes, place: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BadInputError(f"{place}: not UTF-8") from error


def _fields(topic: str) -> dict[str, FieldInfo]:
    fields = TOPICS[topic].model.model_fields
    return {field.alias or name: field for name, field in fields.items()}


def _mistake_in_header(columns: list[str], topic: str) -> str | None:
    if TOPICS[topic].model is PolicyVersion:
        return f"{topic} cannot be read from CSV"
    fields = _fields(topic)
    for column in columns:
        if column not in fields:
            return f"{column}: no such column"
        if columns.count(column) > 1:
            return f"{column}: is listed twice"
    missing = [name for name, field in fields.items() if field.is_required()]
    return next((f"{name}: the column is missing" for name in missing if name not in columns), None)


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
