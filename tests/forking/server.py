"""The process that forks the others.

Reads lines of JSON on standard input, each a `Request` of tests.forking.client, and answers each
with `started PID`; says `ended PID CODE` of each that ends, and kills all when its input ends. With
`impatient` as its argument, the services that it starts notice faults sooner.
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
from reconsent.demo import story  # noqa: F401 -- imported once for all, as are these
from reconsent.mail import maildir  # noqa: F401
from reconsent.mail.sendgrid import provider as sendgrid_provider
from reconsent.mail.smtp import provider  # noqa: F401
from reconsent.program import Program
from reconsent.web import app, serving  # noqa: F401
from reconsent.workers import dispatcher, preview, running  # noqa: F401

_LOOK_SECONDS: Final = 0.05
_SET_PARENT_DEATH_SIGNAL: Final = 1  # of prctl


def main() -> None:
    """Start what is asked for, until the input ends."""
    if "impatient" in sys.argv[1:]:
        _be_impatient()
    # Its end is to interrupt the wait, so that whoever waits for a command hears of it at once.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    wakes, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    alive: set[int] = set()
    waiting = b""
    while True:
        ready = select.select([0, wakes], [], [], _LOOK_SECONDS)[0]
        if wakes in ready:
            os.read(wakes, 65536)
        if 0 in ready:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, waiting = (waiting + read).split(b"\n")
            for line in lines:
                alive.add(_fork(json.loads(line), (wakes, woken)))
        alive -= _ended()
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def _be_impatient() -> None:
    # Dead members are to be missed soon, and faults outside are over soon.
    kafka_consumer.KafkaConsumer.__init__.__kwdefaults__ = {"session": 1.5, "stuck": 8.0}
    running.REST, running.LONGEST_REST = 0.1, 1.0  # type: ignore[misc]
    # Few people, yet many requests and several claims.
    sendgrid_provider.SendGrid.at_most = 4


def _fork(asked: dict[str, Any], own: tuple[int, int]) -> int:
    """Run a command in a process of its own."""
    if pid := os.fork():
        _say(f"started {pid}")
        return pid
    code = 70
    try:
        # Also where this process is killed before it can kill the others.
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in own:
            os.close(descriptor)
        _redirect(asked)
        os.chdir(asked["folder"])
        os.environ.clear()  # noqa: TID251 -- a program's own
        os.environ.update(asked["environment"])  # noqa: TID251
        sys.argv = ["reconsent", *asked["arguments"]]
        Path("/proc/self/comm").write_text(asked["arguments"][-1], "utf-8")
        code = run(asked["arguments"], Program)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 -- as the interpreter would at its end
        code = 1
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(asked: dict[str, Any]) -> None:
    """Give a process the standard streams that it was asked to have."""
    append = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for target, path, flags in (
        (0, asked["stdin"], os.O_RDONLY),
        (1, asked["stdout"], append),
        (2, asked["stderr"], append),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, target)
        os.close(opened)


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
        _say(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main()
