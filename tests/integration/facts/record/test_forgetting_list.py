"""The list of what a deletion takes, and of what stays, is complete and documented."""

from __future__ import annotations

from pathlib import Path

from reconsent.facts.record.forgetting import (
    AT_DELETION,
    AT_MINORITY,
    LATER,
    OF_MINORS,
)
from reconsent.facts.record.kept import KEPT, NAMES_NO_ACCOUNT, NO_ACCOUNT
from tests.integration.stage import Stage

OPERATING = Path(__file__).parents[4] / "docs" / "operating.md"


def test_every_table_is_in_the_list(place: Stage) -> None:
    """A new table must be listed in facts/record/kept.py, with what it keeps of an account."""
    listed = {
        table for step in (*AT_DELETION, *AT_MINORITY, *OF_MINORS, *LATER) for table in step.tables
    } | KEPT.keys()
    with place.database.connection() as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
    assert {table for (table,) in tables} == listed


def test_what_the_deletion_takes_and_keeps_is_documented() -> None:
    """docs/operating.md says of each step and of each thing that is kept what the list says."""
    written = " ".join(OPERATING.read_text("utf-8").split())
    for step in (*AT_DELETION, *LATER):
        assert step.takes in written, step.takes
    for kept in KEPT.values():
        if kept.why not in {NO_ACCOUNT, NAMES_NO_ACCOUNT}:
            assert f"{kept.what} | {kept.why}" in written, kept.what
