"""Files of suppressed addresses, in CSV, NDJSON or as one JSON document, read as mail events."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from pydantic import ValidationError

from reconsent.domain.errors import BadInputError
from reconsent.domain.event import MailEvent, mistake
from reconsent.files.csv_events import csv_rows, mistake_in_separators
from reconsent.files.events import STDIN, rereadable
from reconsent.files.lines import lines_of
from reconsent.files.suppression_forms import LISTS, OWN, SOURCES, Form, Row, form_of, text

if TYPE_CHECKING:
    from reconsent.files.suppression_forms import Said

_UNKNOWN: Final = (
    "is not a list of suppressed addresses: it should have email, reason and occurred_at,"
    f" or what {', '.join(SOURCES)} export"
)
_SAYS_NOT: Final = (
    "does not say why these addresses are listed: give --as bounced, complained or unsubscribed"
)
_SAYS: Final = "says itself why these addresses are listed: leave --as out"


class Line(NamedTuple):
    """An address of a list, and the line that it begins on."""

    number: int
    event: MailEvent


class _Table(NamedTuple):
    """The rows of a file, each with the line it begins on; in the order in which they are read."""

    rows: Iterator[tuple[int, Row]]
    columns: Sequence[str] | None = None


def read_suppressions(
    path: str, why: Said | None, cleaned: Callable[[str], str]
) -> tuple[str, list[Line]]:
    """Read a whole file (`-` is standard input); return its name and what it says.

    `why` says why its addresses are listed, if the file does not. `cleaned` returns a server's
    reply without addresses. One malformed line rejects the whole file: it raises BadInputError,
    `FILE:LINE: field: what is wrong`.
    """
    name = "standard input" if path == STDIN else path
    with rereadable(path) as content:
        content.seek(0)
        table = _table(content, name, is_csv=path.lower().endswith(".csv"))
        lines = []
        form = None
        for number, row in table.rows:
            if form is None:
                line = 1 if table.columns else number
                form = _form(table.columns or list(row), why, f"{name}:{line}")
            lines.append(Line(number, _event(row, form, why, cleaned, f"{name}:{number}")))
        if form is None and table.columns:
            _form(table.columns, why, f"{name}:1")
        return name, lines


def _event(
    row: Row, form: Form, why: Said | None, cleaned: Callable[[str], str], place: str
) -> MailEvent:
    try:
        if not text(row, form.email):
            raise BadInputError(f"{place}: {form.email}: is missing")
        return MailEvent.model_validate(
            {
                "email": text(row, form.email),
                "event": why or form.said(row),
                "occurred_at": row.get("occurred_at") if form is OWN else form.time(row),
                "reason": cleaned(form.reply(row)) or None,
            }
        )
    except ValidationError as error:
        raise BadInputError(f"{place}: {mistake(error)}") from error
    except ValueError as error:
        raise BadInputError(f"{place}: {error}") from error


def _form(columns: Sequence[str], why: Said | None, place: str) -> Form:
    form = form_of(columns)
    if form is None:
        raise BadInputError(f"{place}: {mistake_in_separators(list(columns)) or _UNKNOWN}")
    if not form.tells and why is None:
        raise BadInputError(f"{place}: {_SAYS_NOT}")
    if form.tells and why is not None:
        raise BadInputError(f"{place}: {_SAYS}")
    return form


# ------------------------------------------------------------------ rows


def _table(content: IO[bytes], name: str, *, is_csv: bool) -> _Table:
    first = b"" if is_csv else content.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    content.seek(0)
    if first == b"[":
        return _Table(_document(content, name))
    if first == b"{":
        return _Table(_objects(content, name))
    rows = csv_rows(content, name)
    _, columns = next(rows, (1, []))
    form = form_of(columns)
    for column in sorted(form.columns) if form else ():
        if columns.count(column) > 1:
            raise BadInputError(f"{name}:1: {column}: is listed twice")
    return _Table(_cells(rows, columns, name), columns)


def _cells(
    rows: Iterator[tuple[int, list[str]]], columns: Sequence[str], name: str
) -> Iterator[tuple[int, Row]]:
    for number, cells in rows:
        if len(cells) != len(columns):
            raise BadInputError(
                f"{name}:{number}: has {len(cells)} cells for {len(columns)} columns"
            )
        yield number, dict(zip(columns, cells, strict=True))


def _objects(content: IO[bytes], name: str) -> Iterator[tuple[int, Row]]:
    """Read NDJSON, or a document that is an object with a list."""
    numbered = lines_of(content, name)
    number, line = next(numbered, (1, b""))
    if not _is_line(line):
        content.seek(0)
        yield from _document(content, name)
        return
    yield number, _object(_loaded(line, f"{name}:{number}"), f"{name}:{number}")
    for number, line in numbered:
        if not line.isspace():
            yield number, _object(_loaded(line, f"{name}:{number}"), f"{name}:{number}")


def _is_line(line: bytes) -> bool:
    """Tell whether a line is an object, and not a document with a list."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return not any(isinstance(found.get(field), list) for field in LISTS)


def _document(content: IO[bytes], name: str) -> Iterator[tuple[int, Row]]:
    """Read the objects of one JSON document, each with the line it begins on."""
    try:
        text_ = content.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{name}: not UTF-8: save the file as UTF-8") from error
    whole = _loaded(text_, name)
    listed, start = whole, text_.find("[")
    if isinstance(whole, dict):
        field = next((field for field in LISTS if isinstance(whole.get(field), list)), None)
        found = field and re.search(rf'"{field}"\s*:\s*\[', text_)
        if not found:
            raise BadInputError(f"{name}: {_UNKNOWN}")
        listed, start = whole[field], found.end() - 1
    decoder = json.JSONDecoder()
    passed, number, place, objects = 0, 1, start + 1, 0
    separators = re.compile(r"[\s,]*")
    while text_[place := separators.match(text_, place).end()] != "]":  # type: ignore[union-attr]
        number += text_.count("\n", passed, place)
        passed = place
        found_, place = decoder.raw_decode(text_, place)
        objects += 1
        yield number, _object(found_, f"{name}:{number}")
    if isinstance(listed, list) and objects != len(listed):
        # It was looked for in the text, and another one found.
        raise BadInputError(f"{name}: has more than one list of addresses")


def _object(value: object, place: str) -> Row:
    if not isinstance(value, dict):
        raise BadInputError(f"{place}: should be an object with an address")
    return value


def _loaded(data: str | bytes, place: str) -> object:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
            raise BadInputError(f"{place}: {twice}: is given twice")
        return found

    try:
        return json.loads(data, object_pairs_hook=once)
    except RecursionError as error:
        raise BadInputError(f"{place}: not JSON: too deeply nested") from error
    except ValueError as error:
        raise BadInputError(f"{place}: not JSON: {error}") from error
