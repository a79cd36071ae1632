"""The cache gives the right values at any limit, also if threads share it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from reconsent.facts.remembered import Remembered

LOOK_UPS = st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=40)


def _squares(keys: list[int]) -> dict[int, int]:
    return {key: key * key for key in keys}


@given(limit=st.integers(0, 20), look_ups=LOOK_UPS)
def test_a_limit_changes_no_answer(limit: int, look_ups: list[list[int]]) -> None:
    """Each lookup returns exactly its keys, as without a limit; the limit holds between lookups."""
    limited, unlimited = Remembered[int, int](limit), Remembered[int, int](1000)
    for keys in look_ups:
        found = limited.look_up(keys, _squares)
        assert found == unlimited.look_up(keys, _squares) == _squares(keys)
        assert len(limited) <= limit


@given(look_ups=LOOK_UPS)
def test_a_known_value_is_not_found_again(look_ups: list[list[int]]) -> None:
    """Below the limit every value is found once, and all of a lookup's unknown ones together."""
    remembered = Remembered[int, int](1000)
    calls: list[list[int]] = []

    def find(keys: list[int]) -> dict[int, int]:
        calls.append(keys)
        return _squares(keys)

    for keys in look_ups:
        before = len(calls)
        remembered.look_up(keys, find)
        assert len(calls) - before <= 1
    asked = [key for keys in calls for key in keys]
    assert len(asked) == len(set(asked))


def test_the_least_recently_used_value_is_evicted_first() -> None:
    """A value that is looked up again outlives those that are not."""
    remembered = Remembered[int, int](2)
    for keys in ([1], [2], [1], [3]):
        remembered.look_up(keys, _squares)
    found: list[int] = []

    def find(keys: list[int]) -> dict[int, int]:
        found.extend(keys)
        return _squares(keys)

    remembered.look_up([1, 2, 3], find)
    assert found == [2]


def test_threads_share_it_past_its_limit() -> None:
    """Four threads that evict one another's values all the time miss none of their own."""
    remembered = Remembered[int, int](20)

    def read(seed: int) -> None:
        chance = Random(seed)
        for _ in range(2500):
            keys = chance.sample(range(200), 15)
            assert remembered.look_up(keys, _squares) == _squares(keys)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(read, seed) for seed in range(4)]:
            done.result()
    assert len(remembered) == 20
