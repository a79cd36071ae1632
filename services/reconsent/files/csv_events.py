"""Events in CSV: the columns are the fields of the data."""

from __future__ import annotations

import csv
import json
from itertools import chain
from typing import TYPE_CHECKING, Final

from reconsent.domain.errors import BadInputError
from reconsent.domain.event import TOPICS
from reconsent.domain.policy import PolicyVersion
from reconsent.domain.spelling import did_you_mean
from reconsent.files.lines import Readable, lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

_OTHER_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}
_BOOLEANS: Final = {"true": True, "false": False}


def csv_data(content: Readable, name: str, topic: str) -> Iterator[tuple[int, bytes]]:
    """Read each row as the JSON of an event, with the number of the line it begins on."""
    rows = csv_rows(content, name)
    _, columns = next(rows, (1, []))
    wrong = _mistake_in_header(columns, topic)
    if wrong:
        raise BadInputError(f"{name}:1: {wrong}")
    booleans = {name for name, field in _fields(topic).items() if field.annotation is bool}
    for number, cells in rows:
        if len(cells) != len(columns):
            raise BadInputError(
                f"{name}:{number}: has {len(cells)} cells for {len(columns)} columns"
            )
        data: dict[str, str | bool] = {
            column: cell for column, cell in zip(columns, cells, strict=True) if cell
        }
        for column in booleans & data.keys():
            data[column] = _BOOLEANS.get(str(data[column]).lower(), data[column])
        value = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        yield number, value.encode()


def csv_rows(content: Readable, name: str) -> Iterator[tuple[int, list[str]]]:
    """Read the rows that are not empty, each with the number of the line it begins on."""
    texts = (_text(line, f"{name}:{number}") for number, line in lines_of(content, name))
    header = next(texts, "")
    reader = csv.reader(chain([header], texts), strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # Between cells in quotes, another separator is a mistake of its own.
            wrong = mistake_in_separators([header]) if number == 1 and "," not in header else None
            raise BadInputError(f"{name}:{number}: {wrong or error}") from error
        if cells:
            yield number, cells


def mistake_in_separators(columns: list[str]) -> str | None:
    """Describe what is between the columns of a header instead of commas."""
    for mark, name in _OTHER_SEPARATORS.items():
        if len(columns) == 1 and mark in columns[0]:
            return f"has {name} between its columns; CSV needs commas there"
    return None


def _text(line: bytes, place: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BadInputError(f"{place}: not UTF-8: save the file as UTF-8") from error


def _fields(topic: str) -> dict[str, FieldInfo]:
    fields = TOPICS[topic].model.model_fields
    return {field.alias or name: field for name, field in fields.items()}


def _mistake_in_header(columns: list[str], topic: str) -> str | None:
    if issubclass(TOPICS[topic].model, PolicyVersion):
        return f"{topic} cannot be read from CSV"
    fields = _fields(topic)
    if not columns:
        return "is empty: the first line should name the columns"
    if wrong := mistake_in_separators(columns):
        return wrong
    for column in columns:
        if column not in fields:
            return f"{column}: no such column{did_you_mean(column, fields)}"
        if columns.count(column) > 1:
            return f"{column}: is listed twice"
    missing = [name for name, field in fields.items() if field.is_required()]
    return next((f"{name}: the column is missing" for name in missing if name not in columns), None)
