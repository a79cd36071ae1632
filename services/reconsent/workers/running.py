"""Run services side by side: for ever, or until none of them can do anything now.

For ever means: a failure outside is waited for, and a service that failed unexpectedly is started
again, while the others go on. What somebody has to see to is tried again after long pauses: a mail
provider that refuses the key must not take the pages down.
"""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Final

from reconsent.domain.errors import OutsideError, ReconsentError, StoppedError
from reconsent.telemetry.log_events import (
    SERVICE_BLOCKED,
    SERVICE_FAILED,
    SERVICE_NOT_CLOSED,
    SERVICE_RETRIES,
    SERVICE_STOPPED,
)
from reconsent.telemetry.metrics import COUNTERS, SERVICE_RESTARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconsent.workers.service import Service

REST: Final = 0.5
LONGEST_REST: Final = 30.0


def collect_rarely() -> None:
    """Let Python look for cycles less often than it does by itself, in the whole process.

    A batch makes tens of thousands of objects that live for a moment, and no cycles: to go through
    them again and again took a sixth of the time.
    """
    gc.set_threshold(50_000, 20, 20)


def run_until_idle(services: Sequence[Service], each: Callable[[str], None] | None = None) -> None:
    """Work until no service has anything it can do now; each drains before the next begins.

    Every error is raised at once. Where a service is stopped, its StoppedError is raised once
    nothing else is left.
    """
    stop = threading.Event()
    while True:
        worked = False
        for service in services:
            while service.work():
                worked = True
                if each:
                    each(service.name)
        if not worked:
            if all(service.idle() for service in services):
                _raise_obstacle(services)
                return
            stop.wait(0.01)  # a transaction of another process is about to end


def _raise_obstacle(services: Sequence[Service]) -> None:
    for service in services:
        if error := service.obstacle():
            raise error


def run(
    services: Sequence[Service],
    stop: threading.Event,
    wait: Callable[[float], object] | None = None,
) -> None:
    """Work until told to stop, each service in a thread of its own.

    A service that fails is tried again. Pauses go through `wait`, which is to return early when
    `stop` is set. What no service may catch, such as the end of the interpreter, is raised once all
    others have finished their step.
    """
    broken: list[BaseException] = []

    def loop(service: Service) -> None:
        try:
            _work(service, stop, wait or stop.wait)
        except BaseException as error:  # noqa: BLE001 (raised again by the thread that waits)
            SERVICE_STOPPED.log(service=service.name, error=error)
            broken.append(error)
            stop.set()

    threads = [
        threading.Thread(target=loop, args=(service,), name=service.name) for service in services
    ]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]


def _work(service: Service, stop: threading.Event, wait: Callable[[float], object]) -> None:
    """Work until told to stop. Pauses after failures grow while nothing succeeds in between."""
    rest = REST
    logged = ""
    while not stop.is_set():
        try:
            pause = 0.0 if service.work() else REST
        except ReconsentError as error:
            if isinstance(error, StoppedError) or not isinstance(error, OutsideError):
                rest = LONGEST_REST
                SERVICE_BLOCKED.log(service=service.name, error=error, pause=rest)
            else:
                SERVICE_RETRIES.log(service=service.name, error=error, pause=rest)
        except Exception as error:  # noqa: BLE001 (no service may end the others)
            logged = _restart(service, error, rest, logged)
        else:
            wait(pause)
            rest, logged = REST, ""
            continue
        wait(rest)
        rest = min(rest * 2, LONGEST_REST)


def _restart(service: Service, error: Exception, pause: float, logged: str) -> str:
    """Report an unexpected error, and have the service start its next step from nothing.

    Returns what the error is called. The traceback is logged once for the same error in a row.
    """
    name = f"{type(error).__name__}: {error}"
    SERVICE_FAILED.log(
        service=service.name, error=name, pause=pause, exc_info=error if name != logged else None
    )
    COUNTERS.add(SERVICE_RESTARTS, service=service.name)
    try:
        service.close()
    except Exception as closing:  # noqa: BLE001 (it is given up all the same)
        SERVICE_NOT_CLOSED.log(service=service.name, error=closing, exc_info=closing)
    return name
