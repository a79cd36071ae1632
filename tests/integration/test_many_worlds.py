"""Many random worlds agree with the naive model of RULES.md, counted, each replayed by its seed.

`make worlds` plays 1,000; `make worlds SEED=7 WORLDS=1` plays that of one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.integration.stage import Stage, stage
from tests.integration.test_pipeline_model import agree
from tests.model.independent import world

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all worlds."""
    with stage(make_database()) as made:
        yield made


def test_the_worlds_of_seeds_agree_with_the_model(
    place: Stage, seeds: range, record_property: Callable[[str, object], None]
) -> None:
    """As in test_pipeline_model.py; what passed is counted."""
    steps = 0
    for seed in seeds:
        story, together = world(seed)
        steps += len(story)
        try:
            agree(place, story, together=together)
        except BaseException as error:
            error.add_note(f"in the world of seed {seed}")
            raise
    record_property("first_seed", seeds[0])
    record_property("last_seed", seeds[-1])
    record_property("worlds", len(seeds))
    record_property("steps", steps)
