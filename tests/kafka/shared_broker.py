"""One broker for a whole run of the tests, shared by all of its processes.

Each process holds a share for as long as it lives. Who finds no broker starts a keeper, a process
of its own, which stops the broker when the last share is gone, however its holder ended. Whoever
uses the broker does so together with others, or alone, and then may kill it and start it again.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Final, Self

import pytest
from infra.kafka.broker import Broker, BrokerError, MissingError

_ROOT: Final = Path(__file__).parents[2]
_READY: Final = "ready"


class SharedBroker:
    """A share in the broker of a folder, held until the block or this process ends."""

    def __init__(self, folder: Path) -> None:
        """Start nothing yet."""
        self._folder = folder
        self._seen = Broker(folder / "data")

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Waits for as long as an earlier broker takes to stop.
        self._share = (self._folder / "users.lock").open("w")
        fcntl.flock(self._share, fcntl.LOCK_SH)
        try:
            self.start()
        except BaseException:
            self._share.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._share.close()

    @property
    def bootstrap(self) -> str:
        """The `HOST:PORT` without authentication."""
        return self._seen.bootstrap

    @property
    def secured(self) -> str:
        """The `HOST:PORT` with TLS and a password."""
        return self._seen.secured

    @property
    def certificate(self) -> Path:
        """The certificate that TLS clients have to trust."""
        return self._seen.certificate

    @contextmanager
    def used(self, *, alone: bool = False) -> Iterator[None]:
        """Use it while the block runs: together with others, or alone and free to kill it.

        Not to be nested. It runs again in the end, also where the block failed.
        """
        with (self._folder / "use.lock").open("w") as use:
            # Through a door of its own, so that who wants to be alone need not wait for ever.
            with self._locked("door.lock"):
                fcntl.flock(use, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            try:
                yield
            finally:
                if alone:
                    self.start()

    def start(self) -> None:
        """Start it on the same data as before. Raises BrokerError."""
        with self._locked("start.lock"):
            if not self._seen.answers:
                self._start()

    def kill(self) -> None:
        """Kill it. Only for exclusive users."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it cleanly. Only for exclusive users."""
        self._end(signal.SIGTERM)

    def _start(self) -> None:
        with (self._folder / "keeper.log").open("w") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", __name__, str(self._folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=_ROOT,
                start_new_session=True,  # no key pressed on our terminal reaches it
            )
        assert keeper.stdout
        with keeper.stdout:
            said = keeper.stdout.readline().decode().strip()
        # It outlives us, or ends with its broker; nobody waits for it.
        keeper.returncode = 0
        if said != _READY:
            kind, _, why = said.partition(": ")
            log_tail = (self._folder / "keeper.log").read_text("utf-8", "replace")
            raise (MissingError if kind == MissingError.__name__ else BrokerError)(why or log_tail)

    def _end(self, how: signal.Signals) -> None:
        try:
            process = os.pidfd_open(int((self._folder / "broker.pid").read_text()))
        except ProcessLookupError:
            return  # it has ended already
        try:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, how)
            select.select([process], [], [])
        finally:
            os.close(process)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with (self._folder / name).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def run_broker(paths: pytest.TempPathFactory) -> Iterator[SharedBroker]:
    """Give the broker that all processes of this run of the tests share.

    Skips where Java or Maven is missing, and fails instead if nothing may be missing.
    """
    own = paths.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ  # noqa: TID251 -- whether we are one of several
    try:
        with SharedBroker((own.parent if is_worker else own) / "kafka") as broker:
            yield broker
    except MissingError as error:
        if os.environ.get("REQUIRE_ALL") == "1":  # noqa: TID251 -- what the machine offers
            pytest.fail(str(error))
        pytest.skip(str(error))


def keep(folder: Path) -> None:
    """Run the broker until nobody holds a share any more, or until somebody ends it."""
    try:
        with (folder / "users.lock").open("w") as users, Broker(folder / "data") as broker:
            (folder / "broker.pid").write_text(str(broker.pid))
            sys.stdout.write(f"{_READY}\n")
            sys.stdout.flush()

            def stop_when_unused() -> None:
                fcntl.flock(users, fcntl.LOCK_EX)
                broker.stop()

            Thread(target=stop_when_unused, daemon=True).start()
            broker.wait()
    except BrokerError as error:
        first_line = str(error).splitlines()[0]
        sys.stdout.write(f"{type(error).__name__}: {first_line}\n")
        sys.stderr.write(f"{error}\n")


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
