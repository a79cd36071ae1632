"""Many random worlds agree with the naive model of RULES.md, counted, each replayed by its seed.

`make worlds` plays 1,000; `make worlds SEED=7 WORLDS=1` plays those of one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.integration.conftest import WORLDS_OF_A_SEED
from tests.integration.stage import Stage, stage
from tests.integration.test_pipeline_model import agree
from tests.model.steps import Step
from tests.model.worlds import stories

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all worlds."""
    with stage(make_database()) as made:
        yield made


def test_the_worlds_of_a_seed_agree_with_the_model(
    place: Stage, worlds_of: int, record_property: Callable[[str, object], None]
) -> None:
    """As in test_pipeline_model.py; what passed is counted."""
    steps: list[int] = []

    @seed(worlds_of)
    @settings(
        max_examples=WORLDS_OF_A_SEED,
        phases=[Phase.generate],
        database=None,
        derandomize=False,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(story=stories(rejections=True), together=st.booleans())
    def play(story: Sequence[Step], *, together: bool) -> None:
        agree(place, story, together=together)
        steps.append(len(story))

    play()
    record_property("seed", worlds_of)
    record_property("worlds", len(steps))
    record_property("steps", sum(steps))
