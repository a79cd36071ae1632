"""Files of events, as `emit` and `import` read them."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typing_extensions import override

from reconsent.domain.cloudevents import read
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import AccountEvent, ChoiceEvent
from reconsent.files.events import Line, validated
from reconsent.files.lines import LONGEST_LINE

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
ACCOUNT = (
    '{"property": "shop.example", "account": "%s", "status": "active", "contact": "all",'
    ' "updated_at": "2026-11-01T10:00:00Z"}'
)
HEADER = "property,account,status,contact,updated_at"
ROW = "shop.example,%s,active,all,2026-11-01T10:00:00Z"


def lines(path: Path, topic: str = "accounts") -> list[Line]:
    """Read a file."""
    with validated(str(path), topic, NOW) as file:
        found = list(file)
        assert file.count == len(found)
        # It can be read again.
        assert list(file) == found
    return found


@pytest.fixture
def ndjson(tmp_path: Path) -> Path:
    """The path of an NDJSON file that does not exist yet."""
    return tmp_path / "events.ndjson"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The path of a CSV file that does not exist yet."""
    return tmp_path / "events.CSV"


def test_the_id_of_a_plain_line_is_the_hash_of_its_bytes(ndjson: Path) -> None:
    """The id is the hash of the line's bytes without the line end; they are also the value."""
    first, second = (ACCOUNT % "1").encode(), b" " + (ACCOUNT % "2").encode() + b" "
    ndjson.write_bytes(b"\xef\xbb\xbf" + first + b"\r\n\n" + second)
    one, two = lines(ndjson)
    assert (one.number, two.number) == (1, 3)
    assert (one.message.value, two.message.value) == (first, second)
    assert one.received.id == hashlib.sha256(first).hexdigest()
    assert two.received.id == hashlib.sha256(second).hexdigest()
    assert one.message.key == b"shop.example/1"
    assert one.message.timestamp == NOW
    assert read(one.message) == one.received


def test_a_cloudevent_keeps_its_identity(ndjson: Path) -> None:
    """A structured CloudEvent is sent in binary mode; without data it is a tombstone."""
    event = {
        "specversion": "1.0",
        "type": "reconsent.account.v1",
        "source": "urn:test",
        "id": "7",
        "time": "2026-11-01T10:00:00Z",
    }
    deleted = event | {"id": "8", "subject": "shop.example/a/b", "data": None}
    ndjson.write_text(
        json.dumps(event | {"data": json.loads(ACCOUNT % "1")}) + "\n" + json.dumps(deleted)
    )
    one, two = lines(ndjson)
    assert [(line.received.source, line.received.id) for line in (one, two)] == [
        ("urn:test", "7"),
        ("urn:test", "8"),
    ]
    assert json.loads(one.message.value or b"") == json.loads(ACCOUNT % "1")
    assert dict(one.message.headers)["ce_time"] == b"2026-11-01T10:00:00Z"
    assert (two.message.key, two.message.value) == (b"shop.example/a/b", None)
    assert isinstance(two.received.data, AccountEvent)
    assert two.received.data.status == "deleted"
    assert [read(line.message) for line in (one, two)] == [one.received, two.received]


def test_data_that_contains_specversion_is_not_a_cloudevent(ndjson: Path) -> None:
    """Only a top-level attribute makes a CloudEvent."""
    data = json.loads(ACCOUNT % "1") | {"name": '"specversion"', "added": {"specversion": "1.0"}}
    ndjson.write_text(json.dumps(data))
    (line,) = lines(ndjson)
    assert line.received.source == "urn:reconsent:data"


def test_a_table_gives_the_same_events_as_lines(ndjson: Path, table: Path) -> None:
    """Columns are the fields, in any order; an empty cell is an absent field."""
    table.write_bytes(
        b"\xef\xbb\xbfaccount,minor,email,property,status,contact,name,updated_at\r\n"
        b"1,,,shop.example,active,all,,2026-11-01T10:00:00Z\r\n"
        b'2,TRUE,a@b.example,shop.example,active,all,"Ann ""A""\r\n,B",2026-11-01T10:00:00Z\r\n'
        b"\r\n"
        b"3,false,,shop.example,active,all,\xc3\xa5,2026-11-01T10:00:00Z"
    )
    plain, full, last = lines(table)
    ndjson.write_text(ACCOUNT % "1")
    assert plain.received.data == lines(ndjson)[0].received.data
    assert isinstance(full.received.data, AccountEvent)
    assert full.received.data.name == 'Ann "A"\r\n,B'
    assert full.received.data.minor is True
    assert isinstance(last.received.data, AccountEvent)
    assert (last.received.data.minor, last.received.data.name) == (False, "å")
    assert [line.number for line in (plain, full, last)] == [2, 3, 6]


def test_each_row_has_its_own_id(table: Path) -> None:
    """The id depends on the content of the row, not on the order of the columns."""
    table.write_text(f"{HEADER}\n{ROW % 1}\n{ROW % 2}\n")
    one, two = lines(table)
    assert one.received.id != two.received.id
    head, row = HEADER.split(","), (ROW % 1).split(",")
    table.write_text(f"{','.join(head[::-1])},name\n{','.join(row[::-1])},\n")
    assert lines(table)[0].received.id == one.received.id


def test_evidence_in_a_cell_is_text(table: Path) -> None:
    """A cell of evidence is a string, even if it looks like a number."""
    table.write_text(
        "property,account,answer,data_use,decided_at,evidence\n"
        "shop.example,1,deny,marketing,2026-11-01T10:00:00Z,17\n"
    )
    data = lines(table, "choices")[0].received.data
    assert isinstance(data, ChoiceEvent)
    assert data.evidence == "17"


def test_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Input that cannot be rewound is buffered."""

    class Pipe(io.BytesIO):
        @override
        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    content = "\n".join(ACCOUNT % number for number in range(3)).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pipe(content)))
    assert [line.message.key for line in lines(Path("-"))] == [
        f"shop.example/{number}".encode() for number in range(3)
    ]


@pytest.mark.parametrize("name", ["accounts.ndjson", "accounts.csv"])
def test_a_file_is_read_once_to_check_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Every line is checked in one pass."""
    rows = "\r\n".join(["", HEADER, "", *(ROW % number for number in range(3)), ""])
    events = "\n\n".join(ACCOUNT % number for number in range(3))
    content = b"\xef\xbb\xbf" + (rows.lstrip() if name.endswith("csv") else events).encode()
    read = 0

    class Counting(io.BytesIO):
        @override
        def readline(self, limit: int | None = -1, /) -> bytes:
            nonlocal read
            line = super().readline(limit)
            read += len(line)
            return line

    (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(Path, "open", lambda *_: Counting(content))
    with validated(str(tmp_path / name), "accounts", NOW) as file:
        assert file.count == 3
        assert read == len(content)


TWICE = (ACCOUNT % "2").replace('"contact"', '"contact" : "none", "contact"')
EVENT_WITH_TWICE = f'{{"specversion": "1.0", "data": {TWICE}}}'


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (ACCOUNT % "1" + "\n{\n", r":2: not JSON: "),
        (ACCOUNT % "1" + "\n\n" + ACCOUNT % "", r":3: account: "),
        (ACCOUNT.replace("active", "?") % "1", r":1: status: "),
        ('{"specversion": "1.0", "type": "x"}', r":1: type: "),
        ("[]", r":1: should be an object, not an array: NDJSON has one whole JSON object"),
        ("[\n" + ACCOUNT % "1" + "\n]", r":1: should be an object, not an array: NDJSON"),
        (ACCOUNT % "1" + "\n" + TWICE, r":2: contact: is given twice"),
        (EVENT_WITH_TWICE, r":1: contact: is given twice"),
        ('{"a":"' + "x" * LONGEST_LINE, r":1: longer than "),
    ],
)
def test_one_malformed_line_rejects_the_whole_file(ndjson: Path, content: str, place: str) -> None:
    """The line and the field are reported before anything is sent."""
    ndjson.write_text(content)
    with (
        pytest.raises(BadInputError, match=rf"^{ndjson}{place}[^\n]*$"),
        validated(str(ndjson), "accounts", NOW),
    ):
        pytest.fail("a malformed file was accepted")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", r":1: is empty: the first line should name the columns"),
        (b"property,account,status\n", r":1: contact: the column is missing"),
        (f"{HEADER},colour\n".encode(), r":1: colour: no such column"),
        (f"{HEADER},given_email\n".encode(), r":1: given_email: no such column"),
        (f"{HEADER},e-mail\n".encode(), r":1: e-mail: no such column: did you mean email\?"),
        (f"{HEADER},status\n".encode(), r":1: status: is listed twice"),
        (HEADER.replace(",", ";").encode(), r":1: has semicolons between its columns; CSV needs"),
        (f'"{HEADER}"'.replace(",", '";"').encode(), r":1: has semicolons between its columns;"),
        (HEADER.replace(",", "\t").encode(), r":1: has tabs between its columns; CSV needs commas"),
        (f"{HEADER}\n{ROW % 1}\n{ROW % 2},x\n".encode(), r":3: has 6 cells for 5 columns"),
        (f'{HEADER},name\n{ROW % 1},"a\n\nb"\n{ROW % ""},c\n'.encode(), r":5: account: "),
        (f"{HEADER},minor\n{ROW % 1},yes\n".encode(), r":2: minor: "),
        (f"{HEADER}\n{ROW % 1}\n{ROW % chr(34)}\n".encode(), r":3: unexpected end of data"),
        (f"{HEADER}\n{ROW % 1}\n".encode() + b"\xff\n", r":3: not UTF-8"),
    ],
)
def test_one_malformed_row_rejects_the_whole_table(table: Path, content: bytes, place: str) -> None:
    """The row's first line and the column are reported before anything is sent."""
    table.write_bytes(content)
    with (
        pytest.raises(BadInputError, match=rf"^{table}{place}[^\n]*$"),
        validated(str(table), "accounts", NOW),
    ):
        pytest.fail("a malformed table was accepted")


def test_policy_versions_cannot_be_a_table(table: Path) -> None:
    """Nested data does not fit into CSV."""
    table.write_text("policy\n")
    with (
        pytest.raises(BadInputError, match=":1: policy-versions cannot be read from CSV"),
        validated(str(table), "policy-versions", NOW),
    ):
        pytest.fail("a malformed table was accepted")


def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    """A missing file and a folder are reported in one line."""
    for path in (tmp_path / "missing", tmp_path):
        with (
            pytest.raises(BadInputError, match=rf"^{path}: [^\n]+$"),
            validated(str(path), "accounts", NOW),
        ):
            pytest.fail("an unreadable file was accepted")
