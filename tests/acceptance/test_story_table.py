"""What happens to each kind of account when a policy changes: events in, mail and permissions out.

Each row of the table is a separate story; all run concurrently in one world.
"""

from __future__ import annotations

import httpx
import pytest

from tests.acceptance import rows_of_people, rows_of_versions
from tests.acceptance.outside import World
from tests.acceptance.stories import Stage, run_all

ROWS = {row.__name__: row for row in (*rows_of_people.ROWS, *rows_of_versions.ROWS)}


@pytest.fixture(scope="module")
def faults(world: World, web: httpx.Client) -> dict[str, Exception | None]:
    """Run all stories; return the exception of each, if any."""
    return run_all(Stage(world, web), ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_row(name: str, faults: dict[str, Exception | None]) -> None:
    """A row's expectations hold."""
    fault = faults[name]
    if fault is not None:
        raise fault
