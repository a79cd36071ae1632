"""An import whose lanes were interrupted at different positions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconsent.cli.importing import import_file
from reconsent.domain.cloudevents import Received
from reconsent.domain.errors import OutsideError
from reconsent.domain.recorded import Counts
from reconsent.facts.record.imports import LANES, Lane, Progress, begin, lane_of
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.files.events import EventFile, validated
from reconsent.store.postgres import Connection, Database

_NOW = datetime(2026, 12, 1, tzinfo=UTC)


def _recorders() -> list[Recorder]:
    return [
        Recorder(PublishedVersions(), lambda email: email.encode(), lambda: _NOW)
        for _ in range(LANES)
    ]


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


def _record_one_lane(database: Database, file: EventFile, upto: int) -> None:
    """Record the first lane up to a position, as if the other had been killed before."""
    lanes = [
        Lane(recorder, file.topic, file.digest, number)
        for number, recorder in enumerate(_recorders())
    ]
    first, *_ = database.transaction(lambda connection: begin(connection, lanes))
    events = [event.received for some in file.decoded() for event in some][:upto]
    own = [event for event in events if lane_of(event.data) == 0]  # type: ignore[arg-type]
    database.transaction(lambda connection: lanes[0].record(connection, first, own, upto))


@pytest.mark.parametrize("upto", [1, 15, 30])
def test_each_lane_is_resumed_where_it_stopped(
    database: Database, tmp_path: Path, upto: int
) -> None:
    """Every event counts once, also where one lane was ahead; the last day is what stays."""
    with validated(_file(tmp_path, [1, 2, 3]), "accounts", _NOW) as file:
        _record_one_lane(database, file, upto)
        done = import_file(database, _recorders(), file, lambda *_: None)
    assert done == Progress(events=30, new=30)
    with database.connection() as connection:
        emails = connection.execute("SELECT email FROM accounts ORDER BY account").fetchall()
        assert emails == [(f"{number}-3@example.com",) for number in range(10)]
        assert connection.execute("SELECT FROM imports").fetchall() == []


def test_an_import_begun_in_one_lane_is_carried_on(database: Database, tmp_path: Path) -> None:
    """The other lane begins where the first one, then the only one, had come."""
    with validated(_file(tmp_path, [1, 2]), "accounts", _NOW) as file:
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
    with validated(_file(tmp_path, [1]), "accounts", _NOW) as file:
        _record_one_lane(database, file, 10)
        lane = Lane(_recorders()[0], file.topic, file.digest, 0)
        with pytest.raises(OutsideError, match="another import"):
            database.transaction(lambda connection: lane.record(connection, Progress(), [], 10))


def test_nothing_is_left_out_behind_a_part_that_failed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that were read ahead are not recorded after one that was not."""
    monkeypatch.setattr("reconsent.cli.importing.BATCH", 10)
    monkeypatch.setattr("reconsent.files.events._AT_ONCE", 10)
    path = _file(tmp_path, [1, 2, 3, 4])
    failing = _recorders()
    record, calls = failing[0].record, iter([False, True, False, False])

    def record_or_fail(connection: Connection, received: Sequence[Received]) -> Counts:
        if next(calls):
            raise OutsideError("database: gone")
        return record(connection, received)

    monkeypatch.setattr(failing[0], "record", record_or_fail)
    with (
        validated(path, "accounts", _NOW) as file,
        pytest.raises(OutsideError, match="gone"),
    ):
        import_file(database, failing, file, lambda *_: None)
    with validated(path, "accounts", _NOW) as file:
        done = import_file(database, _recorders(), file, lambda *_: None)
    assert done == Progress(events=40, new=40)
