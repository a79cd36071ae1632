"""Random worlds by seed, any two of which are independent of each other.

Where hypothesis itself draws many, most are variations of those before: of 200 worlds only a few
dozen have little in common.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.model.steps import Step
from tests.model.worlds import stories

Played = tuple[Sequence[Step], bool]
"""A story, and whether events of several topics are on the bus together."""


def world(of: int) -> Played:
    """Return the world of a seed, which is always the same."""
    drawn: list[Played] = []

    @seed(of)
    @settings(
        max_examples=2,  # the first is the simplest one that there is
        phases=[Phase.generate],
        database=None,
        derandomize=False,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(story=stories(rejections=True), together=st.booleans())
    def draw(story: Sequence[Step], *, together: bool) -> None:
        drawn.append((story, together))

    draw()
    return drawn[-1]
