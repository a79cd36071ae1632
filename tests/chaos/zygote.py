"""Starts services in no time: a process that has imported everything forks one for each.

Reads lines of JSON on standard input, `{"arguments", "environment", "log"}`, and answers each with
`started PID`; tells `ended PID CODE` of each that ends, and kills all when its input ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, Final

from reconsent.bus.kafka import consumer as kafka_consumer
from reconsent.cli.main import run
from reconsent.mail import maildir  # noqa: F401 -- imported once for all
from reconsent.mail.sendgrid import provider as sendgrid_provider
from reconsent.program import Program
from reconsent.workers import running

_LOOK_SECONDS: Final = 0.05
_SET_PARENT_DEATH_SIGNAL: Final = 1  # of prctl


def main() -> None:
    """Start what is asked for, until the input ends."""
    # The dead are to be missed soon, and faults outside are over soon.
    kafka_consumer.KafkaConsumer.__init__.__kwdefaults__ = {"session": 1.5, "stuck": 8.0}
    running.REST, running.LONGEST_REST = 0.1, 1.0  # type: ignore[misc]
    # Of few people many requests are made, and several claims.
    sendgrid_provider.SendGrid.at_most = 4
    alive: set[int] = set()
    waiting = b""
    while True:
        if select.select([0], [], [], _LOOK_SECONDS)[0]:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, waiting = (waiting + read).split(b"\n")
            for line in lines:
                alive.add(_fork(json.loads(line)))
        alive -= _ended()
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def _fork(asked: dict[str, Any]) -> int:
    """Run a command in a process of its own."""
    if pid := os.fork():
        _tell(f"started {pid}")
        return pid
    code = 70
    try:
        # Also where this process is killed before it can kill the others.
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(asked["environment"])  # noqa: TID251 -- a program's own
        Path("/proc/self/comm").write_text(asked["arguments"][-1], "utf-8")
        code = run(asked["arguments"], Program)
    except BaseException:  # noqa: BLE001 -- as the interpreter would at its end
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _ended() -> set[int]:
    """Tell of those that have ended."""
    found: set[int] = set()
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        found.add(pid)
        _tell(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main()
