"""Serve one embedded PostgreSQL until its last user has ended.

A program of its own: ``user.join`` starts it and hands it the locked ``server.lock``; the
postmaster inherits that descriptor, so a free lock means that nothing lives.
It makes the database if there is none, starts the postmaster, closes its standard output when
clients may connect (or writes there, in one line, why they never will), and waits for
``users.lock``, which every user shares: getting it alone means that the last user is gone.
A process number is never taken as proof that something lives.
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

# Start-up time is the user's waiting time: nothing is imported that is not needed, here or there.
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
    # One way to come back, ours: PostgreSQL 18 that is told to stop while it comes back by itself
    # from a crash of its own never ends.
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
COMPLAINTS = ("FATAL:", "PANIC:", "error:")
CLIENT_REFUSED = "FATAL:  the database system is"


class ServerError(Exception):
    """The embedded PostgreSQL cannot be made or started, for the reason given."""


class KilledError(Exception):
    """Somebody killed what we ran: no fault of the database's, to be tried again."""


def supervise(binaries: str, inherited: int | None) -> None:
    """Serve the database of the current folder until nobody uses it.

    Raise ServerError or KilledError before clients could connect, never after. ``inherited`` is
    the descriptor of the locked server.lock; without one, wait for the lock.
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
    _make_database(binaries, major)
    _check_major(binaries, major)
    for name in STALE:
        _unlink(f"data/{name}")
    process.adopt_orphans()
    postmaster = _start(binaries)
    _silence()
    stopping = threading.Event()
    threading.Thread(target=_end_with, args=(postmaster, lock, stopping), daemon=True).start()
    fcntl.flock(users, fcntl.LOCK_EX)
    # Newcomers wait for users.lock from here on; _end_with ends this process and lets them in.
    stopping.set()
    os.kill(postmaster, signal.SIGINT)
    time.sleep(STOP_SECONDS)
    os.kill(postmaster, signal.SIGQUIT)
    signal.pause()


def _end_with(postmaster: int, lock: int, stopping: threading.Event) -> NoReturn:
    """Wait for the postmaster's end, then end; but start again if nobody told it to stop."""
    # The dead child is left unreaped, so that its number cannot come to mean somebody else.
    end = os.waitid(os.P_PID, postmaster, os.WEXITED | os.WNOWAIT)
    # A backend notices that its postmaster was killed, but not while it waits for a lock that
    # another held that was killed as well.
    process.kill_children()
    # Closed before users.lock is: who gets that one finds this one free. Also, only when the
    # last backend has died as well can the lock be had again.
    os.close(lock)
    if end and (end.si_code, end.si_status) != (os.CLD_EXITED, 0) and not stopping.is_set():
        os.execv(sys.executable, [*sys.orig_argv[:-1], "-"])  # noqa: S606 - this very program
    os._exit(0)


def _start(binaries: str) -> int:
    """Start the postmaster and return its process number when it takes connections."""
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
    """Tell whether the postmaster has written that it takes connections."""
    try:
        with open("data/postmaster.pid", "rb") as file:
            return file.read().split(b"\n")[7:8] == [b"ready   "]
    except FileNotFoundError:
        return False


def _make_database(binaries: str, major: int) -> None:
    """Make data/ with our role and database unless it is there; all of it or nothing."""
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
    if major > OLDEST_MAJOR:  # 15 has no --set; the setting comes with the start
        initdb += ["--set", "dynamic_shared_memory_type=mmap"]
    single = [f"{binaries}/postgres", "--single", "-D", "data.new", "-c", "exit_on_error=on"]
    for command, text in ((initdb, b""), ([*single, "template1"], ROLE_AND_DATABASE)):
        code, output = process.run(command, become=become, text=text)
        if code == -signal.SIGKILL:
            raise KilledError
        if code:
            reason = f"cannot make the database (exit code {code}): {_tail(output)}{_space()}"
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
        raise ServerError(f"{binaries} holds PostgreSQL {major}; {OLDEST_MAJOR} or newer is needed")
    return int(major)


def _check_major(binaries: str, major: int) -> None:
    """Raise ServerError if the data was made by another major version."""
    try:
        with open("data/PG_VERSION") as file:
            made_by = file.read().strip()
    except OSError as error:
        raise ServerError(
            f"{os.getcwd()}/data is no PostgreSQL data: {error.strerror}: PG_VERSION"
        ) from error
    if made_by != str(major):
        raise ServerError(
            f"{os.getcwd()}/data was made by PostgreSQL {made_by}, {binaries} holds PostgreSQL "
            f"{major}: install PostgreSQL {made_by}, or carry the data over with its pg_dump"
        )


def _locked_alone(users: int) -> bool:
    """Take users.lock for ourselves if nobody holds it; tell whether we did."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlink(path: str) -> None:
    """Remove a file, which may be missing."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _remove(folder: str) -> None:
    """Remove a folder with all it holds; it may be missing."""
    if os.path.lexists(folder):
        import shutil  # noqa: PLC0415 - only after an initdb that failed

        shutil.rmtree(folder)


def _tail(output: bytes) -> str:
    """Return, as one line, the first complaint and what follows; without one the last lines."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines()]
    lines = [line for line in lines if line and CLIENT_REFUSED not in line]
    complaints = [n for n, line in enumerate(lines) if any(word in line for word in COMPLAINTS)]
    start = complaints[0] if complaints else -TAIL_LINES
    return " | ".join(lines[start:][:TAIL_LINES]) or "no word from it"


def _space() -> str:
    """Return a remark if the disk is all but full, else nothing."""
    disk = os.statvfs(".")
    full = disk.f_bavail * disk.f_frsize < SPACE_BYTES
    return f" (the disk that holds {os.getcwd()} is full)" if full else ""


def _silence() -> None:
    """Close standard output, which tells who started us that clients may connect."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def main() -> None:
    """Leave who started us, then supervise; a failure is one line on standard output."""
    folder, binaries, lock = sys.argv[1:]
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        os.chdir(folder)
        supervise(binaries, None if lock == "-" else int(lock))
    except KilledError:
        pass  # a user that waits is told nothing, finds no server, and tries again
    except ServerError as error:
        print(error, flush=True)
    except Exception as error:  # noqa: BLE001 - a user that waits must be told
        print(f"the embedded PostgreSQL in {folder} did not start: {error}", flush=True)
