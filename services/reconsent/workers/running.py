"""Run services side by side: for ever, or until none of them can do anything now."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Final, Protocol

from reconsent.domain.errors import OutsideError, StoppedError
from reconsent.telemetry import SERVICE_RETRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REST: Final = 0.5
LONGEST_REST: Final = 30.0


class Service(Protocol):
    """A part that works in small steps, each of them complete in itself."""

    name: str

    def work(self) -> bool:
        """Do one step; False where there was nothing to do."""

    def idle(self) -> bool:
        """Tell whether nothing waits, also nothing that is only just being committed."""


def collect_rarely() -> None:
    """Let Python look for cycles less often than it does by itself, in the whole process.

    A batch makes tens of thousands of objects that live for a moment, and no cycles: to go through
    them again and again took a sixth of the time.
    """
    gc.set_threshold(50_000, 20, 20)


def run_until_idle(services: Sequence[Service], each: Callable[[str], None] | None = None) -> None:
    """Work until no service has anything it can do now; each drains before the next begins."""
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
                return
            stop.wait(0.01)  # a transaction of another process is about to end


def run(services: Sequence[Service], stop: threading.Event) -> None:
    """Work until told to stop, each service in a thread of its own; raises what broke one."""
    broken: list[BaseException] = []

    def loop(service: Service) -> None:
        try:
            _work(service, stop)
        except BaseException as error:  # noqa: BLE001 -- told by the thread that waits
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


def _work(service: Service, stop: threading.Event) -> None:
    """Work until told to stop; after a fault outside, rest longer each time and go on."""
    rest = REST
    while not stop.is_set():
        try:
            pause = 0.0 if service.work() else REST
            rest = REST
        except StoppedError:
            raise
        except OutsideError as error:
            SERVICE_RETRIES.log(service=service.name, error=error, pause=rest)
            pause, rest = rest, min(rest * 2, LONGEST_REST)
        stop.wait(pause)
