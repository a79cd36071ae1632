"""What the intake remembers of the topics that are stopped, and when it tries them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

from reconsent.domain.errors import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from reconsent.domain.errors import ReconsentError

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
Place = tuple[str, int]
"""A topic, by its own name, and a partition."""


class UnusableError(StoppedError):
    """Messages of a place cannot be used.

    `first` is the position of the first of them in the batch.
    """

    def __init__(self, place: Place, first: int, why: str) -> None:
        super().__init__(f"{place[0]}: partition {place[1]} is stopped: {why}")
        self.place = place
        self.first = first

    @classmethod
    def in_a_row(cls, place: Place, first: int, run: int, why: ReconsentError) -> Self:
        """Say that there are too many, and what is wrong with the first."""
        return cls(place, first, f"{run} messages in a row cannot be used; the next one: {why}")

    @classmethod
    def unexpected(cls, place: Place, error: Exception) -> Self:
        """Say that a batch failed unexpectedly; the error, which may quote it, is in the log."""
        made = cls(place, 0, f"unexpected {type(error).__name__}, see the log of the intake")
        made.__cause__ = error
        return made


class _Stop(NamedTuple):
    """A place that is stopped until it is tried again; `pause` was the last one, in seconds."""

    pause: float
    until: float
    reason: str


class Stops:
    """The places where this process is stopped, and those that it knows to go on.

    `clock` counts seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._stopped: dict[Place, _Stop] = {}
        self._epochs: dict[Place, int] = {}

    def stop(self, place: Place, reason: str) -> float:
        """Remember a stop; return for how long, which grows while nothing is recorded."""
        before = self._stopped.get(place)
        pause = min(before.pause * 2, LONGEST_PAUSE) if before else FIRST_PAUSE
        self._stopped[place] = _Stop(pause, self._clock() + pause, reason)
        return pause

    def accepted(self, place: Place) -> None:
        """Remember that somebody let a place go on, which another process may have stopped at."""
        self._stopped.setdefault(place, _Stop(FIRST_PAUSE, self._clock(), "accepted"))

    def waiting(self) -> frozenset[str]:
        """Return the topics that are not tried yet."""
        now = self._clock()
        return frozenset(topic for (topic, _), stop in self._stopped.items() if stop.until > now)

    def reasons(self) -> dict[Place, str]:
        """Return where this process is stopped, and why."""
        return {place: stop.reason for place, stop in self._stopped.items()}

    def besides(self, topics: Collection[str]) -> list[Place]:
        """List where this process is stopped, except in some topics."""
        return [place for place in self._stopped if place[0] not in topics]

    def forget(self, place: Place) -> None:
        """Forget a place at which nothing is left."""
        del self._stopped[place]

    def may_be_stopped(self, place: Place, epoch: int) -> bool:
        """Tell whether a place may be recorded as stopped, by us or an earlier owner."""
        return place in self._stopped or self._epochs.get(place) != epoch

    def goes_on(self, place: Place, epoch: int) -> bool:
        """Remember that a place is not stopped; tell whether it was, in this process."""
        self._epochs[place] = epoch
        return self._stopped.pop(place, None) is not None
