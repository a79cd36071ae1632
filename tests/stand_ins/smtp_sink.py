"""Postfix's smtp-sink, which accepts any amount of mail and discards it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

UNPACKED: Final = Path.home() / ".cache" / "reconsent-smtp-sink"
"""Where to look if postfix is not installed."""
_HOW: Final = (
    "smtp-sink is not installed; on Debian: apt-get install postfix, or without installing it:"
    f" apt-get download postfix && dpkg -x postfix_*.deb {UNPACKED}"
)


@contextmanager
def running_sink(*options: str) -> Iterator[int]:
    """Run a sink with the given options; yield its port.

    Skips the test if there is no smtp-sink; fails it if REQUIRE_ALL=1.
    """
    program = _program()
    port = _free_port()
    environment = {"LD_LIBRARY_PATH": str(UNPACKED / "usr" / "lib" / "postfix")}
    # It drops root only if a user is given.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [program, *user, *options, f"127.0.0.1:{port}", "200"],
        env=environment,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(port)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def _program() -> str:
    places = os.pathsep.join([os.defpath, "/usr/sbin", str(UNPACKED / "usr" / "sbin")])
    program = shutil.which("smtp-sink", path=places)
    if program is None:
        if os.environ.get("REQUIRE_ALL") == "1":  # noqa: TID251 -- a setting of the tests
            pytest.fail(_HOW)
        pytest.skip(_HOW)
    return program


def _free_port() -> int:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return int(reserved.getsockname()[1])


def _await(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("smtp-sink did not start")
