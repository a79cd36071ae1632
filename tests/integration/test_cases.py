"""The stories of tests/cases/rules.yaml, on the real system."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.integration.pipeline import Pipeline
from tests.integration.stage import Stage, stage
from tests.model.cases import Case, load, run


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all tests of this module."""
    with stage(make_database()) as made:
        yield made


@pytest.mark.parametrize("case", load(), ids=lambda case: case.title)
def test_cases(case: Case, place: Stage) -> None:
    """Each story of rules.yaml has the results that it states."""
    world = Pipeline(place)
    run(case, world)
    assert world.dead_letters() == []
