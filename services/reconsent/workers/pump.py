"""Claiming, handing over and recording side by side, each on threads of its own."""

from __future__ import annotations

import itertools
import time
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconsent.facts.sending.claims import Claim
from reconsent.facts.sending.due import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconsent.domain.errors import OutsideError
    from reconsent.facts.sending.claims import Attempt

_LONGEST_STEP: Final = 0.5
_OFTEN: Final = 0.02
# Claims at once are worth their statements where this many notices are due.
_MANY: Final = 50

NOTHING: Final = Claim(claimed=0, attempts=())


@dataclass(frozen=True, kw_only=True)
class Handed:
    """How a claim's attempts went; `put_off` is set if some mails are to be retried."""

    stopped: OutsideError | None
    put_off: bool
    seconds: float


class Pump:
    """Claims batches while earlier ones are handed over, and recorded.

    Several claims are made at once, one batch at a time is handed over, and one thread records.
    """

    def __init__(
        self,
        claim: Callable[[Lane], Claim],
        hand_over: Callable[[Sequence[Attempt]], Handed],
        record: Callable[[], None],
        *,
        lanes: int,
    ) -> None:
        """Make up to `lanes` claims at once."""
        self._claim = claim
        self._hand_over = hand_over
        self._record = record
        self._most = lanes
        self._turns = itertools.count()

    def run(self, see: Callable[[Handed], None]) -> tuple[bool, OutsideError | None]:
        """Work for a short while; return whether anything was claimed, and what ended it.

        After any failure the batch at work is still waited for. `see` is told how each batch went.
        """
        with (
            ThreadPoolExecutor(self._most, "claiming") as claimers,
            ThreadPoolExecutor(1, "handing over") as hands,
            ThreadPoolExecutor(1, "recording") as pen,
        ):
            recording = _Recording(pen, self._record)
            until = time.monotonic() + _LONGEST_STEP
            claiming: deque[Future[Claim]] = deque()
            handing: deque[Future[Handed]] = deque()
            worked, stopped, lanes = False, None, 1
            while True:
                while len(claiming) < lanes and time.monotonic() < until:
                    lane = Lane(next(self._turns) % lanes, lanes)
                    claiming.append(claimers.submit(self._claim, lane))
                claim = claiming.popleft().result() if claiming else NOTHING
                worked |= claim.claimed > 0
                lanes = self._most if claim.claimed >= _MANY else 1
                if claim.attempts:
                    handing.append(hands.submit(self._hand_over, claim.attempts))
                if handing and (len(handing) > 1 or not claim.attempts):
                    handed = recording.during(handing.popleft())
                    see(handed)
                    stopped = handed.stopped
                    if stopped or handed.put_off:
                        until = 0.0  # not retried at once
                if not (handing or claiming or claim.claimed):
                    recording.wait()
                    return worked, stopped


class _Recording:
    """What is being recorded, on one thread."""

    def __init__(self, pen: Executor, record: Callable[[], None]) -> None:
        self._pen = pen
        self._record = record
        self._at_work = pen.submit(record)

    def during(self, at_work: Future[Handed]) -> Handed:
        """Wait for a batch that is handed over, and record what becomes of it meanwhile."""
        while not wait([at_work], timeout=_OFTEN).done:
            # Less is unknown if this sender is killed.
            if self._at_work.done():
                self._next()
        handed = at_work.result()
        self._next()
        return handed

    def wait(self) -> None:
        """Wait until everything so far is recorded."""
        self._at_work.result()

    def _next(self) -> None:
        self.wait()
        self._at_work = self._pen.submit(self._record)
