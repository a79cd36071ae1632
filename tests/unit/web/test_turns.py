"""Turns are taken one after another; who finds too many waiting is sent away."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st

from reconsent.web import turns
from reconsent.web.turns import TO_TAKE, Turns, in_turn

_NAMES = ("ann", "bo")


@given(
    wanted=st.lists(st.sampled_from(_NAMES), max_size=20),
    at_once=st.integers(1, 3),
    waiting=st.integers(0, 3),
)
def test_no_more_than_allowed_are_at_work(wanted: list[str], at_once: int, waiting: int) -> None:
    """Of each name; and one that others keep from its turn does not wait for ever."""
    worked = dict.fromkeys(_NAMES, 0)
    most = dict.fromkeys(_NAMES, 0)
    sent_away = dict.fromkeys(_NAMES, 0)

    async def work(turns: Turns, name: str) -> None:
        try:
            async with turns.take(name):
                worked[name] += 1
                most[name] = max(most[name], worked[name])
                await asyncio.sleep(0)
                worked[name] -= 1
        except HTTPException as error:
            sent_away[name] += (error.status_code, error.headers) == (429, {"Retry-After": "5"})

    async def all_of_them() -> None:
        turns = Turns(at_once=at_once, waiting=waiting, status=429)
        await asyncio.gather(*(work(turns, name) for name in wanted))
        assert not turns.lines

    asyncio.run(all_of_them())
    for name in _NAMES:
        assert most[name] <= at_once
        assert sent_away[name] == max(0, wanted.count(name) - at_once - waiting)


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not get a turn in time is sent away, and takes none."""
    monkeypatch.setattr(turns, "_PATIENCE", 0.01)

    async def wait() -> None:
        few = Turns(at_once=1, waiting=5, status=503)
        async with few.take(""):
            with pytest.raises(HTTPException, match="503"):
                async with AsyncExitStack() as stack:
                    await stack.enter_async_context(few.take(""))
        async with few.take(""):
            pass

    asyncio.run(wait())


def test_a_request_takes_all_its_turns_and_gives_them_back() -> None:
    """Also when its work fails."""

    async def fail() -> None:
        links, everybody = (Turns(at_once=1, waiting=0, status=429) for _ in range(2))
        TO_TAKE.set([(links, "a"), (everybody, "")])

        def work() -> None:
            assert set(links.lines) == {"a"}
            assert set(everybody.lines) == {""}
            raise KeyError

        with pytest.raises(KeyError):
            await in_turn(work)
        assert not links.lines
        assert not everybody.lines

    asyncio.run(fail())
