"""One Apache Kafka broker without Docker, for tests and development.

Needs Java 17 or later and Maven. The jars that pom.xml lists are downloaded from Maven Central
once, into a cache outside the repository. `python infra/kafka/broker.py run --data DIR` starts a
broker on free ports, prints `HOST:PORT` when it responds, and shuts it down on SIGTERM or Ctrl-C.
Running it again with the same folder continues with the same data and ports.
"""
# ruff: noqa: INP001 -- a program beside its pom, not part of a package

from __future__ import annotations

import argparse
import hashlib
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

POM: Final = Path(__file__).with_name("pom.xml")
PROPERTIES: Final = Path(__file__).with_name("server.properties")
CACHE: Final = Path.home() / ".cache" / "reconsent-kafka"
HOST: Final = "127.0.0.1"
USER: Final = "reconsent"
PASSWORD: Final = "a password for tests"  # noqa: S105 -- only for this broker

_FETCH_SECONDS: Final = 600
_START_SECONDS: Final = 120
_STOP_SECONDS: Final = 60
_TAIL: Final = 2000
_API_VERSIONS: Final = 18
# Small, and optimized for a quick start.
_JVM: Final = (
    "-Xmx512m", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Djava.awt.headless=true",
)  # fmt: skip


class BrokerError(Exception):
    """The broker, or something it needs, is not available; the message gives the reason."""


class MissingError(BrokerError):
    """Java or Maven is not installed; the message tells how to install it."""


def fetch(cache: Path = CACHE) -> Path:
    """Return the folder with the broker's jars; download them if they are missing."""
    folder = cache / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        jars = Path(scratch, "jars")
        _run(
            "mvn", "--batch-mode", "--quiet", "--file", str(POM), "dependency:copy-dependencies",
            "-DincludeScope=runtime", f"-DoutputDirectory={jars}", seconds=_FETCH_SECONDS,
        )  # fmt: skip
        try:
            jars.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process fetched them first
                raise
    return folder


class Broker:
    """One broker on the data of a folder. It stops with the block or the program."""

    def __init__(self, data: Path) -> None:
        """Only note the folder; `start` starts the broker."""
        self._data = data.absolute()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """The `HOST:PORT` without authentication."""
        return self._listener("PLAINTEXT")

    @property
    def secured(self) -> str:
        """The `HOST:PORT` with TLS and SASL PLAIN, for USER and PASSWORD."""
        return self._listener("SASL_SSL")

    @property
    def responds(self) -> bool:
        """Whether a broker with this data responds, even if another process started it."""
        return self._properties.exists() and _responds(self.bootstrap)

    @property
    def pid(self) -> int | None:
        """The process id; None if this object has not started a broker."""
        return None if self._process is None else self._process.pid

    @property
    def certificate(self) -> Path:
        """The certificate (PEM) that TLS clients must trust."""
        return self._data / "broker.pem"

    def start(self) -> None:
        """Start it, and wait until it responds. Raises BrokerError with the log's tail."""
        jars = fetch()
        if not self._properties.exists():
            self._prepare(jars)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own command
                _with_parent(_java(jars, "kafka.Kafka", str(self._properties))),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not _responds(self.bootstrap):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BrokerError(
                    f"the broker does not respond; {self._log} ends with\n{self._tail}"
                )
            time.sleep(0.1)

    def stop(self) -> None:
        """Shut it down cleanly; everything it accepted is on disk."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill it, as in a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wait(self) -> None:
        """Wait until it stops by itself."""
        if self._process is not None:
            self._process.wait()

    @property
    def _properties(self) -> Path:
        return self._data / "server.properties"

    @property
    def _log(self) -> Path:
        return self._data / "broker.log"

    @property
    def _tail(self) -> str:
        return self._log.read_text("utf-8", "replace")[-_TAIL:]

    def _listener(self, name: str) -> str:
        found = self._properties.read_text("utf-8").partition(f"{name}://")[2]
        return found.partition(",")[0]

    def _prepare(self, jars: Path) -> None:
        """Write the settings with free ports, a certificate and an empty log."""
        self._data.mkdir(parents=True, exist_ok=True)
        plain, secured, controller = _free_ports(3)
        text = PROPERTIES.read_text("utf-8").format(
            host=HOST, plain=plain, secured=secured, controller=controller,
            data=self._data, user=USER, password=PASSWORD,
        )  # fmt: skip
        draft = self._data / "draft.properties"
        draft.write_text(text, "utf-8")
        store = ("-alias", "broker", "-keystore", str(self._data / "broker.p12"))
        password = ("-storetype", "PKCS12", "-storepass", PASSWORD)
        (self._data / "broker.p12").unlink(missing_ok=True)
        _run(
            "keytool", "-genkeypair", *store, *password, "-keyalg", "EC", "-validity", "3650",
            "-dname", "CN=localhost", "-ext", f"SAN=dns:localhost,ip:{HOST}",
            "-ext", "bc:c=ca:true", "-ext", "ku:c=digitalSignature,keyCertSign",
        )  # fmt: skip
        _run("keytool", "-exportcert", *store, *password, "-rfc", "-file", str(self.certificate))
        shutil.rmtree(self._data / "log", ignore_errors=True)
        cluster = secrets.token_hex(11)
        _run(*_java(jars, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(draft)))
        # Last: its presence shows that the preparation is complete.
        draft.rename(self._properties)


def _run(*command: str, seconds: int = _START_SECONDS) -> None:
    try:
        subprocess.run(  # noqa: S603 -- our own commands
            command, check=True, capture_output=True, text=True, timeout=seconds
        )
    except FileNotFoundError as error:
        raise MissingError(
            f"{command[0]} is missing; on Debian: apt-get install openjdk-17-jre-headless maven"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BrokerError(f"{command[0]} took more than {seconds} s") from error
    except subprocess.CalledProcessError as error:
        output = (error.stdout + error.stderr)[-_TAIL:]
        raise BrokerError(f"{command[0]} failed:\n{output}") from error


def _java(jars: Path, program: str, *arguments: str) -> tuple[str, ...]:
    return ("java", *_JVM, "-cp", f"{jars}/*", program, *arguments)


def _with_parent(command: tuple[str, ...]) -> tuple[str, ...]:
    """Make a command end when its parent dies, if the system supports that."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--", *command) if setpriv else command


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def _responds(address: str) -> bool:
    """Return whether a broker replies to ApiVersions, the first request of every client."""
    host, _, port = address.rpartition(":")
    request = struct.pack(">hhih", _API_VERSIONS, 0, 1, -1)
    try:
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as reply:
                # Length, correlation id, error code.
                return reply.read(10)[4:] == struct.pack(">ih", 1, 0)
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """Run a broker until SIGTERM or Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="download the jars if they are missing")
    run = commands.add_parser("run", help="run a broker until SIGTERM or Ctrl-C")
    run.add_argument("--data", type=Path, required=True, help="the folder with its data")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "fetch":
            sys.stdout.write(f"{fetch()}\n")
            return 0
        # Like Ctrl-C, so that the block below ends.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with Broker(chosen.data) as broker:
            sys.stdout.write(f"{broker.bootstrap}\n")
            sys.stdout.flush()
            broker.wait()
    except KeyboardInterrupt:
        return 0
    except BrokerError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    return 3  # it stopped by itself


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
