"""An import whose lanes were interrupted at different positions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from reconsent.cli.importing import import_file
from reconsent.domain.errors import OutsideError
from reconsent.domain.lane import LANES
from reconsent.domain.recorded import Counts
from reconsent.domain.signing import Signer
from reconsent.facts.record.clocks import early_span
from reconsent.facts.record.imports import Batch, Lane, Progress, begin
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.files.checking import Rules
from reconsent.files.staging import StagedFile, staged
from reconsent.store.postgres import Connection, Database

_NOW = datetime(2026, 12, 1, tzinfo=UTC)


_RULES: Final = Rules("accounts", _NOW, Signer("s").address_hash)


def _recorders() -> list[Recorder]:
    return [Recorder(PublishedVersions(), _RULES.address_hash, lambda: _NOW) for _ in range(LANES)]


def _file(folder: Path, days: Sequence[int]) -> str:
    """Events of ten accounts, one after another, on each of some days."""
    path = folder / "accounts.ndjson"
    event = {"property": "shop.example", "status": "active", "contact": "all"}
    path.write_text(
        "\n".join(
            json.dumps(
                event
                | {
                    "account": str(number),
                    "email": f"{number}-{day}@example.com",
                    "updated_at": f"2026-11-{day:02}T10:00:00Z",
                }
            )
            for day in days
            for number in range(10)
        )
    )
    return str(path)


def _record_one_lane(database: Database, file: StagedFile, upto: int) -> None:
    """Record the first lane up to a position, as if the other had been killed before."""
    lanes = [
        Lane(recorder, file.topic, file.digest, number)
        for number, recorder in enumerate(_recorders())
    ]
    first, *_ = database.transaction(lambda connection: begin(connection, lanes))
    [block] = file.blocks()
    rest = block.parts[0].after(upto).rows
    own = Batch(block.parts[0].rows.removesuffix(rest))
    database.transaction(lambda connection: lanes[0].record(connection, first, own, upto))


@pytest.mark.parametrize("upto", [1, 15, 30])
def test_each_lane_is_resumed_where_it_stopped(
    database: Database, tmp_path: Path, upto: int
) -> None:
    """Every event counts once, also where one lane was ahead; the last day is what stays."""
    with staged(_file(tmp_path, [1, 2, 3]), _RULES) as file:
        _record_one_lane(database, file, upto)
        done = import_file(database, _recorders(), file, lambda *_: None)
    assert done == Progress(events=30, new=30)
    with database.connection() as connection:
        emails = connection.execute("SELECT email FROM accounts ORDER BY account").fetchall()
        assert emails == [(f"{number}-3@example.com",) for number in range(10)]
        assert connection.execute("SELECT FROM imports").fetchall() == []


def test_what_is_dated_ahead_counts_from_its_first_import(
    database: Database, tmp_path: Path
) -> None:
    """On its day the same file changes nothing, whatever was said between the two."""
    early = _RULES._replace(now=datetime(2026, 11, 2, tzinfo=UTC))
    path = _file(tmp_path, [1, 9])
    # What counts from now is recorded first, so that what is older changes nothing.
    for new in (10, 0):
        with staged(path, early) as file:
            recorders = [
                Recorder(PublishedVersions(), early.address_hash, lambda: early.now)
                for _ in range(LANES)
            ]
            done = import_file(database, recorders, file, lambda *_: None)
        assert done == Progress(events=20, new=new, unchanged=20 - new)
    with staged(_file(tmp_path, [5]), _RULES) as file:
        import_file(database, _recorders(), file, lambda *_: None)
    later = _RULES._replace(early=database.transaction(early_span))
    with staged(_file(tmp_path, [1, 9]), later) as file:
        done = import_file(database, _recorders(), file, lambda *_: None)
    assert done == Progress(events=20, unchanged=20)
    with database.connection() as connection:
        emails = connection.execute("SELECT email FROM accounts ORDER BY account").fetchall()
        assert emails == [(f"{number}-5@example.com",) for number in range(10)]


def test_an_import_begun_in_one_lane_is_carried_on(database: Database, tmp_path: Path) -> None:
    """The other lane begins where the first one, then the only one, had come."""
    with staged(_file(tmp_path, [1, 2]), _RULES) as file:
        with database.connection() as connection:
            connection.execute(
                "INSERT INTO imports (topic, content, events, new) VALUES ('accounts', %s, 10, 10)",
                [file.digest],
            )
            connection.commit()
        done = import_file(database, _recorders(), file, lambda *_: None)
    assert done == Progress(events=20, new=20)


def test_two_imports_of_one_file_do_not_count_twice(database: Database, tmp_path: Path) -> None:
    """A lane that another import has moved is refused."""
    with staged(_file(tmp_path, [1]), _RULES) as file:
        _record_one_lane(database, file, 10)
        lane = Lane(_recorders()[0], file.topic, file.digest, 0)
        with pytest.raises(OutsideError, match="another import"):
            database.transaction(
                lambda connection: lane.record(connection, Progress(), Batch(), 10)
            )


def test_nothing_is_left_out_behind_a_part_that_failed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that were read ahead are not recorded after one that was not."""
    monkeypatch.setattr("reconsent.files.staging._BLOCK", 1)
    path = _file(tmp_path, [1, 2, 3, 4])
    failing = _recorders()
    record, calls = failing[0].record_rows, iter([False, True])

    def record_or_fail(connection: Connection, topic: str, rows: bytes) -> Counts:
        if next(calls):
            raise OutsideError("database: gone")
        return record(connection, topic, rows)

    monkeypatch.setattr(failing[0], "record_rows", record_or_fail)
    with (
        staged(path, _RULES) as file,
        pytest.raises(OutsideError, match="gone"),
    ):
        import_file(database, failing, file, lambda *_: None)
    with staged(path, _RULES) as file:
        done = import_file(database, _recorders(), file, lambda *_: None)
    assert done == Progress(events=40, new=40)
