"""For each rule a deliberately wrong one, which random worlds must find.

What they would not find, they do not prove. `make wrong-rules` runs this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import pytest

from tests.integration.stage import Stage, stage
from tests.integration.test_pipeline_model import agree
from tests.integration.wrong_rules import WRONG, Wrong
from tests.model.independent import world

pytestmark = pytest.mark.wrong_rules
WORLDS: Final = 200


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong.rule}: {wrong.how}")
def test_worlds_find_a_wrong_rule(
    wrong: Wrong,
    make_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """The real system no longer agrees with the model, in a world in which the right rule does."""
    with stage(make_database()) as place:
        with monkeypatch.context() as patched:
            _put(wrong, patched)
            found = next((seed for seed in range(1, WORLDS + 1) if not _agrees(place, seed)), None)
        assert found is not None
        story, together = world(found)
        agree(place, story, together=together)
    record_property("wrong_rule", f"{wrong.rule}: {wrong.how}")
    record_property("found_by", found)


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


def _agrees(place: Stage, seed: int) -> bool:
    """Tell whether both agree in the world of a seed; a wrong rule may also let one fail."""
    story, together = world(seed)
    try:
        agree(place, story, together=together)
    except Exception:  # noqa: BLE001 -- the right rule fails in none of these worlds
        return False
    return True
