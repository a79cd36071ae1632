"""For each rule a deliberately wrong one, which random worlds must find.

What they would not find, they do not prove. `make wrong-rules` runs this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.stage import Stage, stage
from tests.integration.test_pipeline_model import agree
from tests.integration.wrong_rules import WRONG, Wrong
from tests.model.steps import Step
from tests.model.worlds import stories

pytestmark = pytest.mark.wrong_rules
WORLDS: Final = 200
Played = tuple[Sequence[Step], bool]
"""A story, and whether events of several topics were on the bus together."""


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong.rule}: {wrong.how}")
def test_worlds_find_a_wrong_rule(
    wrong: Wrong, make_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real system no longer agrees with the model, in a world in which the right rule does."""
    played: list[Played] = []
    with stage(make_database()) as place:
        with monkeypatch.context() as patched:
            _put(wrong, patched)
            with pytest.raises(AssertionError):
                _play(place, played)
        story, together = played[-1]
        agree(place, story, together=together)


def _put(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a wrong rule in the place of the right one, wherever that was imported."""
    if isinstance(wrong.right, tuple):
        owner, name = wrong.right
        monkeypatch.setattr(owner, name, wrong.wrong)
        return
    modules = [module for name, module in sys.modules.items() if name.startswith(wrong.only_in)]
    for module in modules:
        for name, value in list(vars(module).items()):
            if value is wrong.right:
                monkeypatch.setattr(module, name, wrong.wrong)


def _play(place: Stage, played: list[Played]) -> None:
    """Play worlds; append each one's story before it is played."""

    @settings(
        max_examples=WORLDS,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(story=stories(rejections=True), together=st.booleans())
    def play(story: Sequence[Step], *, together: bool) -> None:
        played.append((story, together))
        agree(place, story, together=together)

    play()
