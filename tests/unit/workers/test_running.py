"""Services that run beside one another: failures, restarts and stops."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from reconsent.domain.errors import BadInputError, OutsideError, ReconsentError, StoppedError
from reconsent.telemetry.metrics import COUNTERS, SERVICE_RESTARTS
from reconsent.workers.running import LONGEST_REST, REST, run, run_until_idle
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE = 60.0


class Scripted(Service):
    """A service whose steps raise what they are given, then succeed; it counts what is asked of it.

    `then` is called in each step after the last given.
    """

    def __init__(
        self, name: str, *errors: Exception | None, then: Callable[[], object] = lambda: None
    ) -> None:
        self.name = name
        self.steps = 0
        self.closed = 0
        self._errors = list(errors)
        self._then = then

    @override
    def work(self) -> bool:
        self.steps += 1
        if self._errors:
            if error := self._errors.pop(0):
                raise error
        else:
            self._then()
        return True

    @override
    def close(self) -> None:
        self.closed += 1
        raise KeyError("closing")


def _restarts(name: str) -> int:
    return dict(COUNTERS.read(SERVICE_RESTARTS)).get((name,), 0)


def _run(services: Sequence[Service], stop: threading.Event) -> list[float]:
    """Run services; return the pauses that were made, none of which takes any time."""
    pauses: list[float] = []
    watch = threading.Timer(PATIENCE, stop.set)
    watch.start()
    try:
        run(services, stop, lambda pause: pauses.append(pause) if pause else None)
    finally:
        watch.cancel()
    return pauses


def test_an_unexpected_error_restarts_one_service_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged with its traceback and counted; the service is closed and goes on, as others do.

    That closing fails too changes nothing.
    """
    stop = threading.Event()
    other = Scripted("other")

    def both_went_on() -> None:
        if other.steps:
            stop.set()

    broken = Scripted("broken-once", KeyError("lost"), then=both_went_on)
    with caplog.at_level(logging.ERROR, "reconsent"):
        _run([broken, other], stop)
    assert broken.steps > 1
    assert broken.closed == 1
    assert other.closed == 0
    assert _restarts("broken-once") == 1
    [failed, closing] = caplog.records
    assert "broken-once failed unexpectedly (KeyError: 'lost')" in failed.getMessage()
    assert failed.exc_info is not None
    assert "broken-once could not be closed" in closing.getMessage()


def test_a_traceback_is_logged_once_for_the_same_error_in_a_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A service that keeps failing writes lines, not pages; each failure counts."""
    stop = threading.Event()
    same = [KeyError("lost") for _ in range(3)]
    service = Scripted("broken-often", *same, ValueError("other"), None, same[0], then=stop.set)
    with caplog.at_level(logging.ERROR, "reconsent"):
        _run([service], stop)
    failed = [one for one in caplog.records if "failed unexpectedly" in one.getMessage()]
    assert [one.exc_info is not None for one in failed] == [True, False, False, True, True]
    assert _restarts("broken-often") == 5


@pytest.mark.parametrize("error", [OutsideError("no mail server"), TypeError("no number")])
def test_pauses_grow_until_a_step_succeeds(error: Exception) -> None:
    """Pauses double up to a limit, and start again after a success."""
    stop = threading.Event()
    service = Scripted("pausing", *[error] * 8, None, error, then=stop.set)
    pauses = _run([service], stop)
    doubled = [REST * 2**number for number in range(8)]
    assert pauses == [*(min(pause, LONGEST_REST) for pause in doubled), REST]


@pytest.mark.parametrize("error", [StoppedError("account barred"), BadInputError("bad setting")])
def test_a_blocked_service_blocks_no_other(
    error: ReconsentError, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on; it is tried again after the longest pause, and goes on once it can."""
    stop = threading.Event()
    other = Scripted("other")

    def both_went_on() -> None:
        if other.steps > 3:
            stop.set()

    blocked = Scripted("intake", error, error, then=both_went_on)
    with caplog.at_level(logging.ERROR, "reconsent"):
        pauses = _run([blocked, other], stop)
    assert blocked.steps > 2
    assert blocked.closed == other.closed == 0
    assert pauses == [LONGEST_REST, LONGEST_REST]
    line = (
        f"intake is blocked until its cause is repaired: {error}; it tries again in 30 s, "
        "and the other services go on"
    )
    assert [record.getMessage() for record in caplog.records] == [line, line]


def test_what_no_service_may_catch_ends_the_process(caplog: pytest.LogCaptureFixture) -> None:
    """The others finish their step first; the log says why, and the error is raised."""
    stop = threading.Event()
    begun = threading.Event()
    finished: list[bool] = []

    def step() -> None:
        begun.set()
        assert stop.wait(PATIENCE)
        finished.append(True)

    def leave() -> None:
        assert begun.wait(PATIENCE)
        raise SystemExit

    stopping = Scripted("stopping", then=leave)
    with caplog.at_level(logging.ERROR, "reconsent"), pytest.raises(SystemExit):
        _run([stopping, Scripted("working", then=step)], stop)
    assert finished == [True]
    [record] = caplog.records
    assert record.getMessage().startswith("stopping must stop: ")


@pytest.mark.parametrize("error", [KeyError("lost"), OutsideError("down"), StoppedError("barred")])
def test_a_script_sees_every_error(error: Exception) -> None:
    """With `until idle` nothing is retried: the error is raised."""
    with pytest.raises(type(error)):
        run_until_idle([Scripted("script", error)])


def test_a_script_ends_with_why_a_service_is_blocked() -> None:
    """With `until idle` all services work first; then the first reason is raised."""

    class Blocked(Scripted):
        @override
        def obstacle(self) -> StoppedError | None:
            return StoppedError(f"{self.name} is stopped")

        @override
        def work(self) -> bool:
            super().work()
            return self.steps < 3

    services = [Blocked("one"), Blocked("other")]
    with pytest.raises(StoppedError, match="one is stopped"):
        run_until_idle(services)
    assert all(service.steps > 3 for service in services)
