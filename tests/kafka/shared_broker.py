"""One broker for a whole run of the tests, shared by all of its processes.

Each process holds a share until it ends. A process that finds no broker starts a keeper in a
separate process, which stops the broker when the last share is gone, even if its holder crashed.
A test uses the broker together with others or exclusively. Only an exclusive user may kill it.
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
        """Only note the folder; entering the block starts the broker."""
        self._folder = folder
        self._seen = Broker(folder / "data")

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Waits while an earlier broker stops.
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
        """The certificate that TLS clients must trust."""
        return self._seen.certificate

    @contextmanager
    def used(self, *, alone: bool = False) -> Iterator[None]:
        """Use it while the block runs: together with others, or exclusively and free to kill it.

        Do not nest. The broker runs again afterwards, even if the block failed.
        """
        with (self._folder / "use.lock").open("w") as use:
            # All queue here, so that shared users cannot starve an exclusive one.
            with self._locked("queue.lock"):
                fcntl.flock(use, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            try:
                yield
            finally:
                if alone:
                    self.start()

    def start(self) -> None:
        """Start it on the same data as before. Raises BrokerError."""
        with self._locked("start.lock"):
            if not self._seen.responds:
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
                start_new_session=True,  # signals of our terminal do not reach it
            )
        assert keeper.stdout
        with keeper.stdout:
            first_line = keeper.stdout.readline().decode().strip()
        # It may outlive us, so Popen must not wait for it.
        keeper.returncode = 0
        if first_line != _READY:
            kind, _, why = first_line.partition(": ")
            log_tail = (self._folder / "keeper.log").read_text("utf-8", "replace")
            raise (MissingError if kind == MissingError.__name__ else BrokerError)(why or log_tail)

    def _end(self, how: signal.Signals) -> None:
        try:
            process = os.pidfd_open(int((self._folder / "broker.pid").read_text()))
        except ProcessLookupError:
            return  # it has already ended
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
    """Yield the broker that all processes of this test run share.

    Skips if Java or Maven is missing; fails instead if REQUIRE_ALL is set.
    """
    own = paths.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ  # noqa: TID251 -- set by pytest-xdist
    try:
        with SharedBroker((own.parent if is_worker else own) / "kafka") as broker:
            yield broker
    except MissingError as error:
        if os.environ.get("REQUIRE_ALL") == "1":  # noqa: TID251 -- a setting of the tests
            pytest.fail(str(error))
        pytest.skip(str(error))


def keep(folder: Path) -> None:
    """Run the broker until the last share is gone or the broker is ended."""
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
