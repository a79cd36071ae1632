"""Files of events: NDJSON or CSV, read lazily, one message per line.

A line of NDJSON is a whole CloudEvent or only its data; a CSV's columns are the data's fields. The
same line always gives the same event id.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from pydantic_core import from_json

from reconsent.domain.bus import Message
from reconsent.domain.cloudevents import STRUCTURED, binary
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import Event
from reconsent.domain.events_at_once import parse_at_once
from reconsent.domain.received import Received
from reconsent.domain.surrogates import with_nul
from reconsent.files.csv_events import csv_data
from reconsent.files.line_form import any_given_twice, given_twice, wrong_form
from reconsent.files.lines import Readable, lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime


STDIN: Final = "-"
_AT_ONCE: Final = 2_000
_MARK: Final = b'"specversion"'


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
    count: int = 0

    def __iter__(self) -> Iterator[Line]:
        """Read the events from the start, without keeping them in memory."""
        self.content.seek(0)
        return (_line(number, data, self) for number, data in _data(self.content, self))


@contextmanager
def validated(path: str, topic: str, now: datetime) -> Iterator[EventFile]:
    """Open a file of events (`-` is standard input), and check every line before the block runs.

    One malformed line rejects the whole file: it raises BadInputError, `FILE:LINE: field: what is
    wrong`. `now` is the timestamp of the messages.
    """
    with rereadable(path) as content:
        unread = EventFile(
            name="standard input" if path == STDIN else path,
            topic=topic,
            now=now,
            content=content,
            is_csv=path.lower().endswith(".csv"),
        )
        content.seek(0)
        count = 0
        for some in _some(_data(content, unread)):
            _check(some, unread)
            count += len(some)
        yield replace(unread, count=count)


@contextmanager
def rereadable(path: str) -> Iterator[IO[bytes]]:
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


def _some(data: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Take some at a time; those before one that cannot be read come before its error."""
    found: list[tuple[int, bytes]] = []
    try:
        for one in data:
            found.append(one)
            if len(found) == _AT_ONCE:
                yield found
                found = []
    except BadInputError:
        yield found
        raise
    if found:
        yield found


def _check(some: Sequence[tuple[int, bytes]], file: EventFile) -> None:
    if parsed(file.topic, [data for _, data in some]) is None:
        for number, data in some:
            _line(number, data, file)


def parsed(topic: str, values: Sequence[bytes]) -> list[Event] | None:
    """Parse bare data; None if the exact way has to decide."""
    if any(_MARK in data for data in values):
        return None
    events = parse_at_once(topic, values)
    return None if events is None or any_given_twice(values, events) else events


def _line(number: int, data: bytes, file: EventFile) -> Line:
    try:
        made, received = read_line(file.topic, data, file.now, is_csv=file.is_csv)
    except BadInputError as error:
        raise BadInputError(f"{file.name}:{number}: {error}") from error
    return Line(number, made, received)


def read_line(topic: str, data: bytes, now: datetime, *, is_csv: bool) -> tuple[Message, Received]:
    """Read the event of one line. Raises BadInputError: `field: what is wrong`."""
    if not is_csv:
        if wrong := wrong_form(data):
            raise BadInputError(wrong)
        if name := given_twice(data):
            raise BadInputError(f"{name}: is given twice")
    is_event = not is_csv and _is_cloudevent(data)
    headers = (("content-type", STRUCTURED),) if is_event else ()
    try:
        return binary(Message(topic, None, data, headers, now))
    except BadInputError as error:
        raise BadInputError(str(error).removeprefix(f"{topic}: ")) from error


def _data(content: Readable, file: EventFile) -> Iterator[tuple[int, bytes]]:
    return csv_data(content, file.name, file.topic) if file.is_csv else _ndjson_data(content, file)


def _ndjson_data(content: Readable, file: EventFile) -> Iterator[tuple[int, bytes]]:
    for number, line in lines_of(content, file.name):
        data = line.removesuffix(b"\n").removesuffix(b"\r")
        if data and not data.isspace():
            yield number, data


def _is_cloudevent(data: bytes) -> bool:
    if _MARK not in data:
        return False
    try:
        event = from_json(with_nul(data))
    except ValueError:
        return False
    return isinstance(event, dict) and "specversion" in event
