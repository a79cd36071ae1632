"""Files of events that are checked block by block, in several processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.domain.event import AccountEvent, Event
from reconsent.domain.signing import Signer
from reconsent.files import checkers, staging
from reconsent.files.checking import Checked, Mistake, Rules, check_block
from reconsent.files.events import validated
from reconsent.files.lines import LONGEST_LINE
from reconsent.files.staging import staged

_NOW: Final = datetime(2026, 12, 1, tzinfo=UTC)
_HASHED: Final = Signer("s").address_hash
_RULES: Final = Rules("accounts", _NOW, _HASHED)
_ACCOUNT: Final = {
    "property": "shop.example",
    "status": "active",
    "contact": "all",
    "updated_at": "2026-11-01T10:00:00Z",
}


def _line(account: str, **fields: object) -> str:
    return json.dumps(_ACCOUNT | {"account": account} | fields)


def _rows(path: Path, rules: Rules = _RULES) -> list[list[str]]:
    """The rows of all lanes, in the order of the file, without their positions."""
    found = {}
    with staged(str(path), rules) as file:
        for block in file.blocks():
            for part in block.parts:
                for row in part.rows.decode().split("\n")[:-1]:
                    position, *columns = row.split("\t")
                    found[block.after + int(position)] = columns
        assert len(found) == file.count
    return [found[position] for position in sorted(found)]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one line each."""
    monkeypatch.setattr(staging, "_BLOCK", 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of accounts."""
    return tmp_path / "accounts.ndjson"


@pytest.mark.usefixtures("small_blocks")
def test_blocks_hold_all_lines_in_order(path: Path) -> None:
    """Positions and line numbers go on from block to block, and the digest is of all bytes."""
    lines = [_line(str(number), email=f"{number}@example.com") for number in range(20)]
    lines[7] = _line("7", updated_at="2999-01-01T00:00:00Z")
    lines[12] = _line("12", email="?")
    content = b"\xef\xbb\xbf" + "\r\n\n".join(lines).encode()
    path.write_bytes(content)
    accounts: list[str] = []
    places: list[tuple[int, int]] = []
    with staged(str(path), _RULES) as file:
        assert (file.count, file.digest) == (20, hashlib.sha256(content).digest())
        for block in file.blocks():
            for part in block.parts:
                accounts += [row.split(b"\t")[2].decode() for row in part.rows.splitlines()]
                # What is dated ahead stays a line.
                noted = [one[:2] for one in part.lines] + [one[:2] for one in part.unusable]
                places += [(block.after + at, block.lines + number) for at, number in noted]
                assert all(one.what.startswith("email: ") for one in part.unusable)
    assert sorted(accounts, key=int) == [str(number) for number in range(20) if number != 7]
    assert places == [(8, 15), (13, 25)]


@pytest.mark.usefixtures("small_blocks")
def test_the_first_malformed_line_rejects_the_file(path: Path) -> None:
    """Whichever process is first to find one."""
    lines = [_line(str(number)) for number in range(9)]
    path.write_text("\n".join([*lines, "", _line(""), *lines, "{", _line("x" * 300)]))
    with (
        pytest.raises(BadInputError, match=rf"^{path}:11: account: [^\n]+$"),
        staged(str(path), _RULES),
    ):
        pytest.fail("a malformed file was accepted")


def test_a_line_that_is_too_long_comes_after_the_malformed_ones_before(path: Path) -> None:
    """It is not kept in memory."""
    long = b'{"a":"' + b"x" * LONGEST_LINE
    assert check_block(_line("1").encode() + b"\n" + long, _RULES) == Mistake(
        2, f"longer than {LONGEST_LINE} bytes"
    )
    assert check_block(b"\n{\n" + long, _RULES) == Mistake(
        2,
        "not JSON: only the beginning of an object: NDJSON has one whole JSON object on each line",
    )
    path.write_bytes(_line("1").encode() + b"\n" + long + b"\n{")
    with pytest.raises(BadInputError, match=rf"^{path}:2: longer"), staged(str(path), _RULES):
        pytest.fail("a line that is too long was accepted")


@pytest.mark.usefixtures("small_blocks")
def test_a_killed_checker_ends_the_check(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line; nothing waits for it, and none of the others stays."""
    started: list[subprocess.Popen[bytes]] = []
    start = checkers.start_process

    def start_and_kill() -> subprocess.Popen[bytes]:
        started.append(start())
        os.kill(started[0].pid, signal.SIGKILL)
        return started[-1]

    monkeypatch.setattr(checkers, "start_process", start_and_kill)
    path.write_text("\n".join(_line(str(number)) for number in range(9)))
    with (
        pytest.raises(OutsideError, match=r"^a process .* signal 9; nothing was recorded$"),
        staged(str(path), _RULES),
    ):
        pytest.fail("half a file was accepted")
    assert [process.poll() for process in started] == [-signal.SIGKILL] * 2


def test_a_full_temporary_folder_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line; a file whose rows fit into memory needs none."""
    path.write_text(_line("1"))
    monkeypatch.setattr(tempfile, "tempdir", str(path / "missing"))
    with staged(str(path), _RULES) as file:
        assert file.count == 1
    monkeypatch.setattr(staging, "_IN_MEMORY", 1)
    with (
        pytest.raises(OutsideError, match=r"^temporary folder: [^\n]+; nothing was recorded$"),
        staged(str(path), _RULES),
    ):
        pytest.fail("a file without room for its rows was accepted")


def test_a_checker_ends_with_the_process_that_started_it() -> None:
    """Its input ends then."""
    process = checkers.start_process()
    process.communicate()
    assert process.returncode == 0


_TEXTS: Final = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        ["\\N", "\\.", "a\tb", "\n", "\r", "\\", "\\t", "\x85", "\u2028", "\0", "\x0b"]
    ),
)
_FIELDS: Final = st.fixed_dictionaries(
    {},
    optional={
        "email": st.one_of(st.none(), st.just("a@b.example"), _TEXTS),
        "name": st.one_of(st.none(), _TEXTS),
        "locale": st.one_of(st.none(), _TEXTS),
        "minor": st.one_of(st.none(), st.booleans()),
        "status": st.sampled_from(["active", "deactivated", "deleted", "?"]),
        "updated_at": st.sampled_from(
            ["2026-11-01t10:00:00.1234567+05:30", "2026-02-30T10:00:00Z"]
        ),
        "specversion": st.just("1.0"),
    },
)


def _expected(path: Path) -> tuple[list[Event], str]:
    """The events of a file read line by line, or what is wrong with it."""
    try:
        with validated(str(path), "accounts", _NOW) as file:
            return [line.received.data for line in file], ""
    except BadInputError as error:
        return [], str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["1", "2", "a\tb", "é"]), _FIELDS), max_size=6))
def test_what_is_staged_is_what_is_valid(
    path: Path, given_lines: list[tuple[str, dict[str, object]]]
) -> None:
    """A file is staged if it is valid, or rejected for the same reason; a row for each event."""
    path.write_text("\n".join(_line(account, **fields) for account, fields in given_lines))
    expected, wrong = _expected(path)
    if wrong:
        with pytest.raises(BadInputError) as raised, staged(str(path), _RULES):
            pytest.fail("a malformed file was accepted")
        assert str(raised.value) == wrong
        return
    rows = _rows(path)
    assert [row[0] for row in rows] == ["shop.example"] * len(expected)
    assert [row[6:8] for row in rows] == [
        [event.status, event.contact] for event in expected if isinstance(event, AccountEvent)
    ]
    checked = check_block(path.read_bytes(), _RULES)
    assert isinstance(checked, Checked)
    assert checked.events == len(expected)


@pytest.mark.usefixtures("small_blocks")
def test_names_are_counted_over_all_blocks(path: Path) -> None:
    """With the line of the first event that has them, and those that are dated ahead."""
    ahead = (_NOW + timedelta(days=1)).isoformat()
    lines = [
        _line("1"), _line("2", locale="nb"), "", _line("3"),
        _line("4", locale="nb", updated_at=ahead), _line("5", locale="nb", updated_at=ahead),
    ]  # fmt: skip
    path.write_text("\n".join(lines))
    with staged(str(path), _RULES) as file:
        assert file.names == {
            ("shop.example", None, None): (2, 1),
            ("shop.example", "nb", None): (3, 2),
        }
        assert file.early == (2, 5)
