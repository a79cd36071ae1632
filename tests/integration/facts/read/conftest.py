"""The world of an account whose story is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconsent.store.postgres import Database
from tests.story_world import World, small_world


@pytest.fixture
def world(conninfo: str, database: Database, tmp_path: Path) -> Iterator[World]:
    """Yield a world in which v1 is published."""
    with small_world(conninfo, database, tmp_path / "mail") as made:
        yield made
