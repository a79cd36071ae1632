"""Lists of suppressed addresses, as reconsent and mail providers write them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.errors import BadInputError
from reconsent.domain.mail_report import mark_of
from reconsent.files.suppression_forms import FORMS, SOURCES, Said
from reconsent.files.suppressions import Line, read_suppressions
from tests.docs import ROOT
from tests.markdown import blocks, section

PAGE: Final = ROOT / "docs" / "addresses.md"
LISTS: Final = "## Suppression lists of other systems"
AT: Final = "2024-03-01T10:00:00"


def read(folder: Path, name: str, content: str | bytes, why: Said | None = None) -> list[Line]:
    """Read a file."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    _, lines = read_suppressions(str(path), why, lambda reply: reply)
    return lines


def told(lines: list[Line]) -> list[tuple[str, str, bool]]:
    """Return each address's name, what is said of it, and whether its mailbox gets no mail."""
    return [
        (
            (line.event.given_email or "").partition("@")[0],
            line.event.event,
            mark_of(line.event.event, line.event.reason) is not None,
        )
        for line in lines
    ]


def shown(heading: str) -> list[tuple[str, str]]:
    """Return the examples below a heading of the docs, each with a name for its file."""
    text = section(PAGE, heading)
    return [(f"list.{kind}", one) for kind in ("csv", "json") for one in blocks(text, kind)]


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        (
            "### SendGrid",
            [
                [("ann", "bounced", True), ("bo", "bounced", False)],
                [("ann", "complained", True), ("bo", "complained", True)],
                [("ann", "unsubscribed", False)],
            ],
        ),
        (
            "### Mailchimp",
            [
                [("ann", "unsubscribed", False), ("bo", "complained", True)],
                [("cy", "bounced", True)],
            ],
        ),
        (
            "### Mailgun",
            [
                [("ann", "bounced", True)],
                [("ann", "complained", True)],
                [("ann", "unsubscribed", False)],
            ],
        ),
        ("### Amazon SES", [[("ann", "bounced", True), ("bo", "complained", True)]]),
        ("### Postmark", [[("ann", "bounced", True), ("bo", "unsubscribed", False)]]),
    ],
)
def test_the_lists_of_the_docs_are_read(
    tmp_path: Path, heading: str, expected: list[list[tuple[str, str, bool]]]
) -> None:
    """Each provider's columns are recognised, and its times are read."""
    lists = [read(tmp_path, name, content) for name, content in shown(heading)]
    assert [told(lines) for lines in lists] == expected
    for lines in lists:
        for line in lines:
            assert abs(line.event.occurred_at.timestamp() - 1709287200) < 600


def test_the_own_form_of_the_docs_is_read(tmp_path: Path) -> None:
    """As CSV, as NDJSON and as a JSON list."""
    [(name, content), *_] = shown(LISTS)
    lines = read(tmp_path, name, content)
    assert told(lines) == [("ann", "bounced", True), ("bo", "unsubscribed", False)]
    assert [line.number for line in lines] == [2, 3]
    rows = [
        {
            "email": one.event.given_email,
            "reason": one.event.event,
            "occurred_at": one.event.occurred_at.isoformat(),
        }
        for one in lines
    ]
    ndjson = "\ufeff" + "\n\n".join(map(json.dumps, rows)) + "\n"
    again = read(tmp_path, "list.ndjson", ndjson)
    assert told(again) == told(lines)
    assert [line.number for line in again] == [1, 3]
    assert told(read(tmp_path, "list.json", json.dumps(rows, indent=2))) == told(lines)
    assert told(read(tmp_path, "list.txt", content)) == told(lines)


def test_every_provider_is_documented() -> None:
    """With a heading."""
    for source in SOURCES:
        assert section(PAGE, f"### {source}")
    # A form that has fewer columns than another would hide it if it came first.
    for place, form in enumerate(FORMS):
        assert not any(before.columns <= form.columns for before in FORMS[:place])


@pytest.mark.parametrize("why", get_args(Said))
def test_what_a_list_does_not_say_is_said_for_it(tmp_path: Path, why: Said) -> None:
    """SendGrid's lists without a reason are alike."""
    content = "email,created\nann@example.com,1709287200\n"
    [line] = read(tmp_path, "list.csv", content, why)
    assert line.event.event == why
    with pytest.raises(BadInputError, match=r"list.csv:1: does not say why .* give --as bounced"):
        read(tmp_path, "list.csv", content)
    with pytest.raises(BadInputError, match="says itself why"):
        read(tmp_path, "list.csv", shown(LISTS)[0][1], why)


OWN: Final = "email,reason,occurred_at\n"


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        (
            "l.csv",
            f"{OWN}a@b.no,bounced,{AT}Z\nb@b.no,bouncd,{AT}Z\n",
            r"l.csv:3: reason: should be",
        ),
        ("l.csv", f"{OWN}a@b.no,bounced,{AT}\n", r"l.csv:2: occurred_at: should be an RFC 3339"),
        ("l.csv", f"{OWN},bounced,{AT}Z\n", r"l.csv:2: email: is missing"),
        ("l.csv", f"{OWN}a@b.no,bounced\n", r"l.csv:2: has 2 cells for 3 columns"),
        ("l.csv", OWN.replace(",", ";"), r"l.csv:1: has semicolons"),
        ("l.csv", "address;code\n", r"l.csv:1: has semicolons"),
        ("l.csv", '"Email Address";"UNSUB_TIME"\n', r"l.csv:1: has semicolons"),
        ("l.csv", "mail,why\na@b.no,x\n", r"l.csv:1: is not a list of suppressed addresses"),
        ("l.csv", "mail,why\n", r"l.csv:1: is not a list of suppressed addresses"),
        ("l.csv", "email,email,reason,occurred_at\n", r"l.csv:1: email: is listed twice"),
        ("l.csv", b"email,reason,occurred_at\n\xff,bounced,x\n", r"l.csv:2: not UTF-8"),
        ("l.csv", "email,created,ip\na@b.no,soon,\n", r"l.csv:2: created: should be a time"),
        (
            "l.csv",
            'email,created,ip\na@b.no,"Mar 1, 2024 10:00 PM",\n',
            r"l.csv:2: created: should be a time",
        ),
        ("l.csv", "email,created,ip\na@b.no,,\n", r"l.csv:2: created: should be a time"),
        (
            "l.csv",
            f"EmailAddress,Reason,LastUpdateTime\na@b.no,x,{AT}\n",
            r":2: Reason: should be one",
        ),
        (
            "l.json",
            '[\n\n{"email": "a@b.no", "created": 1e99, "ip": ""}]',
            r":3: created: should be",
        ),
        ("l.json", '[{"email": "a@b.no", "created": true, "ip": ""}]', r":1: created: should be"),
        ("l.json", '[{"email": "a@b.no", "created": [1], "ip": ""}]', r":1: created: should be"),
        ("l.json", '[{"email": null, "created": 1, "ip": ""}]', r"l.json:1: email: is missing"),
        ("l.json", "[\n7]", r"l.json:2: should be an object"),
        ("l.json", "[{]", r"l.json: not JSON"),
        ("l.json", "[" * 100_000, r"l.json: not JSON: too deeply nested"),
        ("l.json", '{"data": []}', r"l.json:1: is not a list"),
        ("l.json", '{"a":\n7}', r"l.json: is not a list"),
        ("l.json", b'{"a": "\xff', r"l.json: not UTF-8"),
        (
            "l.ndjson",
            f'{{"email": "a@b.no", "reason": "bounced", "occurred_at": "{AT}Z"}}\n{{',
            r":2: not",
        ),
    ],
)
def test_a_mistake_names_its_place(
    tmp_path: Path, name: str, content: str | bytes, fault: str
) -> None:
    """The file, the line and the field; nothing is read of such a file."""
    with pytest.raises(BadInputError, match=fault) as raised:
        read(tmp_path, name, content)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "[]", OWN, '{"Suppressions": []}', '{"items": []}\n'])
def test_a_list_may_be_empty(tmp_path: Path, content: str) -> None:
    """It says nothing then."""
    assert read(tmp_path, "list", content) == []


@pytest.mark.parametrize(
    "content",
    [
        '{"paging": {"items": []}, "items": [{"address": "a@b.no", "created_at": 1709287200}]}',
        '{"items": [], "items": [{"address": "a@b.no", "created_at": 1709287200}]}',
        '{"address": "a@b.no", "address": "c@b.no", "created_at": 1709287200}',
    ],
    ids=["in another object", "two lists", "two addresses"],
)
def test_no_address_is_passed_over(tmp_path: Path, content: str) -> None:
    """A list, or an address, that would hide another one."""
    with pytest.raises(BadInputError, match=r"more than one list|is given twice"):
        read(tmp_path, "list", content)


def test_a_passing_state_marks_nothing(tmp_path: Path) -> None:
    """Lists of bounces also have those that a server may take back."""
    content = (
        "status,reason,email,created\n"
        "4.0.0,try again later,a@b.no,1709287200\n"
        "5.7.1,550 5.7.1 listed,b@b.no,1709287200\n"
        ",Known bad domain,c@b.no,1709287200\n"
    )
    assert [marks for _, _, marks in told(read(tmp_path, "list.csv", content))] == [
        False, False, True,
    ]  # fmt: skip


@given(st.binary(max_size=200), st.sampled_from(["", "[", "{", OWN, '{"items": [', '[{"email": ']))
def test_whatever_is_read_gives_lines_or_a_mistake(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: str
) -> None:
    """Never anything else."""
    folder = tmp_path_factory.mktemp("lists")
    with suppress(BadInputError):
        assert isinstance(read(folder, "list", start.encode() + content), list)
