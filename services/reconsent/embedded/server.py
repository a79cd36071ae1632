"""Serve one embedded PostgreSQL until its last user has ended.

A separate program: ``user.join`` starts it and hands it the locked ``server.lock``; the postmaster
inherits that descriptor, so a free lock means that no process of the server is left.
It creates the database if there is none, starts the postmaster, closes its standard output when
clients can connect (or writes the error there, in one line), and waits for ``users.lock``, which
every user shares: an exclusive lock means that the last user is gone.
A process id is never taken as proof that a process is alive.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
import time
from itertools import takewhile
from typing import NoReturn

# Users wait for the start: import only what is needed, here and in `process`.
from reconsent.embedded import process

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "port": "5432",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "100",
    # We restart it ourselves: PostgreSQL 18 never ends if it is told to stop while it restarts
    # itself after a crash.
    "restart_after_crash": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
ROLE_AND_DATABASE = b"create role reconsent login\ncreate database reconsent owner reconsent\n"
STALE = ("postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock")
OLDEST_MAJOR = 15
FIRST_MAJOR_WITH_BUILTIN_LOCALES = 17
STOP_SECONDS = 30
POLL_SECONDS = 0.005
LOG_BYTES = 1_000_000
SPACE_BYTES = 32_000_000
TAIL_LINES = 3
ERRORS = ("FATAL:", "PANIC:", "error:")
CLIENT_REFUSED = "FATAL:  the database system is"


class ServerError(Exception):
    """The embedded PostgreSQL cannot be created or started, for the reason given."""


class KilledError(Exception):
    """A program of ours was killed from outside; the start can be retried."""


def supervise(binaries: str, inherited: int | None) -> None:
    """Serve the database of the current folder until its last user has ended.

    Raise ServerError or KilledError only before clients can connect. ``inherited`` is the
    descriptor of the locked server.lock; without it, wait for the lock.
    """
    users = os.open("users.lock", os.O_RDWR | os.O_NOFOLLOW)
    if inherited is None:
        lock = os.open("server.lock", os.O_RDWR | os.O_NOFOLLOW)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _locked_alone(users):
            return
    else:
        lock = inherited
    os.set_inheritable(lock, True)  # noqa: FBT003 - the standard library's signature
    major = _major_of(binaries)
    _create_database(binaries, major)
    _check_major(binaries, major)
    for name in STALE:
        _unlink(f"data/{name}")
    process.adopt_orphans()
    postmaster = _start(binaries)
    _silence()
    stopping = threading.Event()
    threading.Thread(target=_end_with, args=(postmaster, lock, stopping), daemon=True).start()
    fcntl.flock(users, fcntl.LOCK_EX)
    # New users wait for users.lock from here on; _end_with ends this process and releases it.
    stopping.set()
    os.kill(postmaster, signal.SIGINT)
    time.sleep(STOP_SECONDS)
    os.kill(postmaster, signal.SIGQUIT)
    signal.pause()


def _end_with(postmaster: int, lock: int, stopping: threading.Event) -> NoReturn:
    """Wait for the postmaster's end, then exit; restart if it was not told to stop."""
    # The dead child is not reaped, so that its process id is not reused.
    end = os.waitid(os.P_PID, postmaster, os.WEXITED | os.WNOWAIT)
    # A backend notices that its postmaster was killed, unless it waits for a lock of another
    # killed backend.
    process.kill_children()
    # Closed before users.lock, so that the next holder of that one finds this one free. It is
    # free only when the last backend has ended too.
    os.close(lock)
    if end and (end.si_code, end.si_status) != (os.CLD_EXITED, 0) and not stopping.is_set():
        os.execv(sys.executable, [*sys.orig_argv[:-1], "-"])  # noqa: S606 - this program
    os._exit(0)


def _start(binaries: str) -> int:
    """Start the postmaster; return its process id when it accepts connections."""
    if os.fstat(2).st_size > LOG_BYTES:
        os.ftruncate(2, 0)
    logged = os.fstat(2).st_size
    command = [f"{binaries}/postgres", "-D", "data"]
    for name, value in SETTINGS.items():
        command += ["-c", f"{name}={value}"]
    postmaster = process.spawn(command, become=process.identity_for("data"), output=2)
    while not _ready():
        end = os.waitid(os.P_PID, postmaster, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if end and end.si_code == os.CLD_KILLED and end.si_status == signal.SIGKILL:
            raise KilledError
        if end:
            with open("server.log", "rb") as log:
                log.seek(logged)
                raise ServerError(f"PostgreSQL did not start: {_tail(log.read())}{_space()}")
        time.sleep(POLL_SECONDS)
    return postmaster


def _ready() -> bool:
    """Return whether the postmaster has reported that it accepts connections."""
    try:
        with open("data/postmaster.pid", "rb") as file:
            return file.read().split(b"\n")[7:8] == [b"ready   "]
    except FileNotFoundError:
        return False


def _create_database(binaries: str, major: int) -> None:
    """Create data/ with our role and database, atomically, unless it exists."""
    _remove("data.new")
    if os.path.lexists("data"):
        return
    os.mkdir("data.new", 0o700)
    become = process.identity_for_initdb("data.new")
    locale = ["--locale=C", "--lc-ctype=C.UTF-8"]
    if major >= FIRST_MAJOR_WITH_BUILTIN_LOCALES:
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    initdb = [f"{binaries}/initdb", "-D", "data.new", "-U", "postgres", "-A", "trust"]
    initdb += ["-E", "UTF8", *locale]
    if major > OLDEST_MAJOR:  # 15 has no --set; the start passes the setting
        initdb += ["--set", "dynamic_shared_memory_type=mmap"]
    single = [f"{binaries}/postgres", "--single", "-D", "data.new", "-c", "exit_on_error=on"]
    for command, text in ((initdb, b""), ([*single, "template1"], ROLE_AND_DATABASE)):
        code, output = process.run(command, become=become, text=text)
        if code == -signal.SIGKILL:
            raise KilledError
        if code:
            reason = f"cannot create the database (exit code {code}): {_tail(output)}{_space()}"
            _remove("data.new")
            raise ServerError(reason)
    os.rename("data.new", "data")
    folder = os.open(".", os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _major_of(binaries: str) -> int:
    """Return the major version of the PostgreSQL in ``binaries``; raise ServerError."""
    code, output = process.run([f"{binaries}/postgres", "--version"], become=process.stay)
    words = output.decode(errors="replace").split()  # postgres (PostgreSQL) 18.6
    major = "".join(takewhile(str.isdigit, words[2])) if len(words) > 2 else ""  # noqa: PLR2004
    if code or not major:
        raise ServerError(f"{binaries}/postgres does not run (exit code {code}): {_tail(output)}")
    if int(major) < OLDEST_MAJOR:
        raise ServerError(
            f"{binaries} contains PostgreSQL {major}; {OLDEST_MAJOR} or newer is required"
        )
    return int(major)


def _check_major(binaries: str, major: int) -> None:
    """Raise ServerError if the data was created by another major version."""
    try:
        with open("data/PG_VERSION") as file:
            created_by = file.read().strip()
    except OSError as error:
        raise ServerError(
            f"{os.getcwd()}/data is not a PostgreSQL data folder: PG_VERSION: {error.strerror}"
        ) from error
    if created_by != str(major):
        raise ServerError(
            f"{os.getcwd()}/data was created by PostgreSQL {created_by}, "
            f"but {binaries} contains PostgreSQL {major}: "
            f"install PostgreSQL {created_by}, or migrate the data with its pg_dump"
        )


def _locked_alone(users: int) -> bool:
    """Lock users.lock exclusively if nobody shares it; return whether it is locked."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlink(path: str) -> None:
    """Remove a file if it exists."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _remove(folder: str) -> None:
    """Remove a folder with its contents if it exists."""
    if os.path.lexists(folder):
        import shutil  # noqa: PLC0415 - needed only after a failed initdb

        shutil.rmtree(folder)


def _tail(output: bytes) -> str:
    """Return in one line the first error and the lines after it; without one the last lines."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines()]
    lines = [line for line in lines if line and CLIENT_REFUSED not in line]
    errors = [n for n, line in enumerate(lines) if any(word in line for word in ERRORS)]
    start = errors[0] if errors else -TAIL_LINES
    return " | ".join(lines[start:][:TAIL_LINES]) or "it wrote nothing"


def _space() -> str:
    """Return a remark if the disk is almost full, else an empty text."""
    disk = os.statvfs(".")
    full = disk.f_bavail * disk.f_frsize < SPACE_BYTES
    return f" (the disk with {os.getcwd()} is full)" if full else ""


def _silence() -> None:
    """Close standard output, which signals to the starting process that clients can connect."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def main() -> None:
    """Detach from the starting process, then supervise; report an error as one line of output."""
    folder, binaries, lock = sys.argv[1:]
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        os.chdir(folder)
        supervise(binaries, None if lock == "-" else int(lock))
    except KilledError:
        pass  # report nothing: the waiting user finds no server and retries
    except ServerError as error:
        print(error, flush=True)
    except Exception as error:  # noqa: BLE001 - the waiting user must get the error
        print(f"the embedded PostgreSQL in {folder} did not start: {error}", flush=True)
