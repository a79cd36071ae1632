"""What is known of cohorts: nothing from before a restore, and enough for a whole range."""

from __future__ import annotations

from typing import cast

import pytest

from reconsent.facts.planning.first import MOST_ACCOUNTS, KnownAsks, Learnt
from reconsent.store import postgres
from reconsent.store.postgres import Database, restores
from reconsent.workers.planner import SLICE, Planner


def test_what_was_learnt_before_a_restore_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its ids may stand for something else: the database was restored after they were recorded."""
    known = KnownAsks()
    known.add(1, Learnt({(1, 1): 5}, restores()))
    before = Learnt({(2, 2): 6}, restores())
    assert known.of(1) == {(1, 1): 5}
    monkeypatch.setattr(postgres._Clusters, "seen_restores", before.restores + 1)  # noqa: SLF001 -- the count itself
    known.add(1, before)
    assert known.of(1) == {}
    after = Learnt({(2, 2): 7}, restores())
    known.add(1, after)
    assert known.of(1) == {(2, 2): 7}
    assert known.of(2) == {}


def test_the_cohorts_of_a_whole_range_can_be_known_at_once() -> None:
    """Whatever is known before, learning what is missing comes to an end."""
    for size in (1, MOST_ACCOUNTS // 2, MOST_ACCOUNTS // 2 + 1, MOST_ACCOUNTS):
        known = KnownAsks()
        known.add(1, Learnt({(0, n): 1 for n in range(size // 2)}, restores()))
        known.add(1, Learnt({(1, n): 1 for n in range(MOST_ACCOUNTS // 2 + 1)}, restores()))
        cohorts = {(0, n): 1 for n in range(size)}
        for _ in range(3):
            missing = {one: ask for one, ask in cohorts.items() if one not in known.of(1)}
            if not missing:
                break
            known.add(1, Learnt(missing, restores()))
        assert not cohorts.keys() - known.of(1).keys()


def test_a_planner_takes_no_more_at_once() -> None:
    """A range of more accounts could have more cohorts than can be known."""
    database = cast("Database", None)
    assert SLICE <= MOST_ACCOUNTS
    Planner(database, slice_size=MOST_ACCOUNTS)
    with pytest.raises(ValueError, match=str(MOST_ACCOUNTS + 1)):
        Planner(database, slice_size=MOST_ACCOUNTS + 1)
