"""Turns: how many requests are worked on at once, so that no one keeps all others waiting.

Pages, API and webhook each have turns of their own, of which a link and an address get a part. A
request takes its turn when its body is there: who sends slowly takes none.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from fastapi import HTTPException
from fastapi.concurrency import run_in_threadpool
from typing_extensions import ParamSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from fastapi import Request

_PATIENCE: Final = 10.0
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@dataclass
class _Line:
    """Those of one name who have a turn or wait for one."""

    free: asyncio.Semaphore
    requests: int = 0


@dataclass(frozen=True, kw_only=True)
class Turns:
    """Turns for each of several names; who finds too many waiting is sent away."""

    at_once: int
    waiting: int
    status: int
    """The HTTP status of those who are sent away."""
    lines: dict[str, _Line] = field(default_factory=dict)

    @asynccontextmanager
    async def take(self, name: str) -> AsyncIterator[None]:
        """Wait for a turn, and keep it during the block. Raises HTTPException."""
        line = self.lines.setdefault(name, _Line(asyncio.Semaphore(self.at_once)))
        if line.requests >= self.at_once + self.waiting:
            raise self._sent_away()
        line.requests += 1
        try:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await line.free.acquire()
            except TimeoutError as error:
                raise self._sent_away() from error
            try:
                yield
            finally:
                line.free.release()
        finally:
            line.requests -= 1
            if not line.requests:
                self.lines.pop(name, None)

    def _sent_away(self) -> HTTPException:
        return HTTPException(self.status, "too many requests at once", {"Retry-After": "5"})


class Kind(NamedTuple):
    """The turns of a kind of request; a link's are only for pages that have one."""

    all: Turns
    of_address: Turns
    of_link: Turns


_PAGES: Final = 16
_API: Final = 6
_HOOKS: Final = 4
_OPERATORS: Final = 2
_PROBES: Final = 2
AT_ONCE: Final = _PAGES + _API + _HOOKS + _OPERATORS + _PROBES
"""How many requests are worked on at once: fewer than there are threads for them."""


def _kind(at_once: int) -> Kind:
    # Posts of one link wait for one another in the database anyway.
    return Kind(
        Turns(at_once=at_once, waiting=500, status=503),
        Turns(at_once=at_once // 2, waiting=200, status=429),
        Turns(at_once=1, waiting=5, status=429),
    )


class Room:
    """The turns of an application."""

    def __init__(self) -> None:
        """Let every kind begin with no request."""
        self._kinds = {
            "/v1/": _kind(_API),
            "/hooks/": _kind(_HOOKS),
            "/metrics": _kind(_OPERATORS),
            "/readyz": _kind(_PROBES),
        }
        self._pages = _kind(_PAGES)

    def of(self, request: Request) -> Sequence[tuple[Turns, str]]:
        """Return the turns that a request has to take, and in whose name."""
        path = request.url.path
        kinds = (kind for prefix, kind in self._kinds.items() if path.startswith(prefix))
        kind = next(kinds, self._pages)
        link = request.path_params.get("token")
        names = [(kind.of_link, str(link))] if link else []
        address = request.client.host if request.client else ""
        return [*names, (kind.of_address, address), (kind.all, "")]


TO_TAKE: Final[ContextVar[Sequence[tuple[Turns, str]]]] = ContextVar("to_take", default=())
"""The turns that the request of this task has to take before it is worked on."""


async def in_turn(
    work: Callable[_Arguments, _Result], *arguments: _Arguments.args, **named: _Arguments.kwargs
) -> _Result:
    """Do a request's work in a thread, when it is its turn. Raises HTTPException 429 or 503."""
    async with AsyncExitStack() as taken:
        for turns, name in TO_TAKE.get():
            await taken.enter_async_context(turns.take(name))
        return await run_in_threadpool(work, *arguments, **named)
