"""The process that forks the commands.

Reads lines of JSON on standard input, each a `Request` of tests.forking.client. Prints `started
PID` for each, and `ended PID CODE` when it has ended. Kills all when its input ends. With the
argument `impatient`, the services that it starts detect faults sooner.
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
from reconsent.demo import story  # noqa: F401 -- imported once, like the modules below
from reconsent.mail import maildir  # noqa: F401
from reconsent.mail.sendgrid import provider as sendgrid_provider
from reconsent.mail.smtp import provider  # noqa: F401
from reconsent.program import Program
from reconsent.web import app, serving  # noqa: F401
from reconsent.workers import dispatcher, preview, running  # noqa: F401

_POLL_SECONDS: Final = 0.05
_SET_PARENT_DEATH_SIGNAL: Final = 1  # of prctl


def main() -> None:
    """Start the requested commands until the input ends."""
    if "impatient" in sys.argv[1:]:
        _be_impatient()
    # SIGCHLD wakes select, so that the end of a command is reported at once.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    alive: set[int] = set()
    partial = b""
    while True:
        ready = select.select([0, wake_reader], [], [], _POLL_SECONDS)[0]
        if wake_reader in ready:
            os.read(wake_reader, 65536)
        if 0 in ready:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, partial = (partial + read).split(b"\n")
            for line in lines:
                alive.add(_fork(json.loads(line), (wake_reader, wake_writer)))
        alive -= _ended()
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def _be_impatient() -> None:
    # Dead members must be detected soon, and outside faults are short.
    kafka_consumer.KafkaConsumer.__init__.__kwdefaults__ = {"session": 1.5, "stuck": 8.0}
    running.REST, running.LONGEST_REST = 0.1, 1.0  # type: ignore[misc]
    # Few recipients, but many requests and several claims.
    sendgrid_provider.SendGrid.at_most = 4


def _fork(request: dict[str, Any], own: tuple[int, int]) -> int:
    """Run a command in a child process."""
    if pid := os.fork():
        _report(f"started {pid}")
        return pid
    code = 70
    try:
        # In case this process is killed before it can kill its children.
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in own:
            os.close(descriptor)
        _redirect(request)
        os.chdir(request["folder"])
        os.environ.clear()  # noqa: TID251 -- the command's environment
        os.environ.update(request["environment"])  # noqa: TID251
        sys.argv = ["reconsent", *request["arguments"]]
        Path("/proc/self/comm").write_text(request["arguments"][-1], "utf-8")
        code = run(request["arguments"], Program)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 -- as the interpreter does
        code = 1
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(request: dict[str, Any]) -> None:
    """Redirect the standard streams as requested."""
    append = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for target, path, flags in (
        (0, request["stdin"], os.O_RDONLY),
        (1, request["stdout"], append),
        (2, request["stderr"], append),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, target)
        os.close(opened)


def _ended() -> set[int]:
    """Reap and report the processes that have ended; return their ids."""
    found: set[int] = set()
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        found.add(pid)
        _report(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _report(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main()
