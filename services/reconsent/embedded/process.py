"""Start the embedded PostgreSQL's programs: as an unprivileged user, and ending when we end.

PostgreSQL refuses to run as root. As root, a child becomes an unprivileged user with one
capability: to enter every folder that root may enter. If root has no capabilities, the child
enters a user namespace in which it is mapped to nobody.
"""

# Every start waits for this module: it uses plain paths and descriptors, and imports little.
# ruff: noqa: PTH116, PTH123, PTH208, SIM105

from __future__ import annotations

import ctypes
import os
import signal
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NOBODY = 65534

# From linux/prctl.h, linux/capability.h, linux/securebits.h and linux/sched.h.
PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP = 0, 1, 5, 6, 7, 8
CLONE_NEWUSER = 0x10000000

libc = ctypes.CDLL(None, use_errno=True)


def run(command: list[str], *, become: Callable[[], None], text: bytes = b"") -> tuple[int, bytes]:
    """Run a program with ``text`` (under 64 KB) as input; return its exit code and output."""
    stdin, feed = os.pipe()
    os.write(feed, text)
    os.close(feed)
    result, stdout = os.pipe()
    child = spawn(command, become=become, output=stdout, stdin=stdin)
    os.close(stdin)
    os.close(stdout)
    with open(result, "rb") as pipe:
        output = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output


def spawn(command: list[str], *, become: Callable[[], None], output: int, stdin: int = 0) -> int:
    """Start a program that ends with us, as the user set by ``become``; return its process id."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    # The child: it must become the program or exit, whatever happens.
    try:
        os.dup2(stdin, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        become()
        # After the change of credentials, which clears it. Not SIGINT: a server in crash recovery
        # may ignore it.
        _prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
        if os.getppid() == parent:
            os.execve(command[0], command, _environment())  # noqa: S606 - no shell needed
    except BaseException as error:  # noqa: BLE001 - our code must not continue in the child
        os.write(2, f"cannot start {command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants; raise OSError."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def kill_children() -> None:
    """Kill all children. None has been reaped, so no process id has been reused."""
    try:
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/children") as file:
                for child in file.read().split():
                    os.kill(int(child), signal.SIGKILL)
    except FileNotFoundError:
        pass  # the kernel does not list children


def _environment() -> dict[str, str]:
    """Return the environment without what would change PostgreSQL's settings or language."""
    ours = os.environ.items()  # noqa: TID251 - passed on to the program
    kept = {k: v for k, v in ours if not k.startswith(("PG", "LC_", "LANG", "TZ"))}
    return kept | {"LC_ALL": "C"}


def identity_for(data: str) -> Callable[[], None]:
    """Return what makes a child the server's user; as root, give ``data`` to that user."""
    if os.geteuid():
        return stay
    owners = (os.stat(path) for path in (data, "."))
    uid, gid = next(
        ((owner.st_uid, owner.st_gid) for owner in owners if owner.st_uid), (NOBODY, NOBODY)
    )
    needed = (CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP)
    try:
        if _has_capabilities(needed):
            os.chown(data, uid, gid)  # not recursive: CAP_DAC_OVERRIDE opens the files
            return partial(_become, uid, gid)
    except OSError:
        pass  # the user is not mapped in this namespace
    return _leave_root


def identity_for_initdb(data: str) -> Callable[[], None]:
    """Return the same for initdb, which requires a user with a name."""
    if os.geteuid() and not _has_name(os.geteuid()):
        return _take_a_name
    return identity_for(data)


def stay() -> None:
    """Keep the current user."""


def _become(uid: int, gid: int) -> None:
    """Become an unprivileged user who may enter every folder that root may enter."""
    # Without this bit access(), which initdb and postgres use, ignores the capability.
    _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    kept = 1 << CAP_DAC_OVERRIDE
    # Effective, permitted, inheritable; the lower 32 capabilities, then the upper ones.
    _call("capset", header, (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0))
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def _enter_namespace() -> None:
    """Enter a user namespace as nobody, with our access to files; raise OSError."""
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {uid} 1"),
        ("gid_map", f"{NOBODY} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _leave_root() -> None:
    """Stop being root without capabilities; raise OSError."""
    try:
        _enter_namespace()
    except OSError as error:
        # PostgreSQL refuses to run as root, and neither way to change the user works.
        advice = "root has no capabilities here: run as an ordinary user"
        raise OSError(error.errno, f"{error.strerror}; {advice}") from error


def _take_a_name() -> None:
    """Enter a user namespace as nobody, if allowed: initdb requires a user with a name."""
    try:
        _enter_namespace()
    except OSError:
        pass  # initdb reports what is missing


def _has_name(uid: int) -> bool:
    """Return whether ``uid`` has a user name."""
    import pwd  # noqa: PLC0415 - needed only to create a database

    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _has_capabilities(needed: Sequence[int]) -> bool:
    """Return whether all capabilities, given by number, are effective."""
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    return all(effective >> capability & 1 for capability in needed)


def _prctl(option: int, first: int, second: int = 0) -> None:
    """Change a property of this process; raise OSError."""
    # The kernel expects full words, and zeros for unused arguments.
    _call("prctl", option, *map(ctypes.c_ulong, (first, second, 0, 0)))


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library; raise OSError with its name if it fails."""
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
