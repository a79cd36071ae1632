"""Processes that check blocks of lines beside this one, each on a core of its own.

Each reads pickled requests on standard input, and writes pickled answers on standard output, until
its input ends: also when the process that started it was killed.
"""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Final, Self, cast

from reconsent.domain.errors import OutsideError
from reconsent.files.checking import Checked, Mistake, Rules, check_block

if TYPE_CHECKING:
    from types import TracebackType

PROCESSES: Final = 2
_ENDED: Final = "a process that checked the file ended with {}; nothing was recorded"
_PACKAGES: Final = str(Path(__file__).parents[2])
_PROGRAM: Final = (
    "import sys; sys.path[:0] = [sys.argv[1]]; from reconsent.files.checkers import serve; serve()"
)


class Checkers:
    """Some processes, which end with the block."""

    def __init__(self, rules: Rules) -> None:
        """Check by these rules."""
        self._rules = rules
        self._stack = ExitStack()
        self._free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for _ in range(PROCESSES):
                process = start_process()
                stack.callback(_stop, process)
                self._free.put(process)
            self._threads = stack.enter_context(ThreadPoolExecutor(PROCESSES, "check"))
            stack.callback(self._threads.shutdown, cancel_futures=True)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def submit(self, block: bytes) -> Future[Checked | Mistake]:
        """Begin to check a block. The result raises OutsideError if the process has ended."""
        return self._threads.submit(self._check, block)

    def _check(self, block: bytes) -> Checked | Mistake:
        process = self._free.get()
        try:
            write, read = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
            pickle.dump((block, self._rules), write, pickle.HIGHEST_PROTOCOL)
            write.flush()
            answer: Checked | Mistake = pickle.load(read)  # noqa: S301 -- from our own program
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            status = process.wait()
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise OutsideError(_ENDED.format(how)) from error
        finally:
            self._free.put(process)
        return answer


def start_process() -> subprocess.Popen[bytes]:
    """Start a process that checks blocks."""
    return subprocess.Popen(  # noqa: S603 -- our own program
        [sys.executable, "-P", "-c", _PROGRAM, _PACKAGES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Ctrl-C reaches this process alone, which ends the others.
        process_group=0,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with suppress(OSError):
        process.communicate()


def serve() -> None:
    """Check blocks until the input ends."""
    # Blocks are full of objects, and hold no cycles.
    gc.disable()
    while True:
        try:
            block, rules = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from the process above
        except EOFError:
            return
        pickle.dump(check_block(block, rules), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()
