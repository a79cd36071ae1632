"""A Citus cluster for tests: a coordinator and workers, which end with this process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, LiteralString, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from reconsent.embedded import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

HOST: Final = "127.0.0.1"
WORKERS: Final = 3
START_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.02
LOG_CHARACTERS: Final = 2000
SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_preload_libraries": "citus",
    # Connections between the nodes stay on this machine.
    "citus.node_conninfo": "sslmode=disable",
    "citus.enable_statistics_collection": "off",
    # Two on each worker, so that tests see both the rows of another shard and of another node.
    "citus.shard_count": "6",
    # A connection for each shard at once, as otherwise only on a busy machine.
    "citus.executor_slow_start_interval": "0",
    "wal_level": "logical",
    "max_connections": "200",
    "max_prepared_transactions": "400",
    "max_worker_processes": "32",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",
    "timezone": "UTC",
    # A test needs no data after a crash of the machine.
    "fsync": "off",
    "full_page_writes": "off",
}
_END_SESSIONS: Final = (
    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = {}"
)


class ClusterError(Exception):
    """The cluster cannot be started, for the reason given."""


class Cluster(NamedTuple):
    """The ports of the nodes, the coordinator's first."""

    ports: Sequence[int]

    def conninfo(self, node: int, database: str) -> str:
        """Return the address of a database on a node; node 0 is the coordinator."""
        return make_conninfo(host=HOST, port=self.ports[node], dbname=database, user="postgres")

    def create(self, database: str) -> None:
        """Create a database with the extension on every node, and let the nodes know each other."""
        self._everywhere("CREATE DATABASE {}", database)
        self._everywhere("CREATE EXTENSION citus", within=database)
        with psycopg.connect(self.conninfo(0, database), autocommit=True) as coordinator:
            coordinator.execute("SELECT citus_set_coordinator_host(%s, %s)", (HOST, self.ports[0]))
            for port in self.ports[1:]:
                coordinator.execute("SELECT citus_add_node(%s, %s)", (HOST, port))

    def close(self, database: str) -> None:
        """End the sessions of a database, and allow no others: it can be copied from now on."""
        self._everywhere("ALTER DATABASE {} ALLOW_CONNECTIONS false", database)
        # Citus has a process of its own in each database.
        self._everywhere(_END_SESSIONS, database, kind=sql.Literal)

    def copy(self, template: str, database: str) -> None:
        """Copy a closed database, with what Citus knows of its tables."""
        self._everywhere("CREATE DATABASE {} TEMPLATE {}", database, template)

    def drop(self, database: str) -> None:
        """Drop a database; its sessions are ended."""
        # Otherwise sessions between the nodes would come back meanwhile.
        self.close(database)
        self._everywhere("DROP DATABASE {} WITH (FORCE)", database)

    def _everywhere(
        self,
        statement: LiteralString,
        *names: str,
        within: str = "postgres",
        kind: type[sql.Identifier | sql.Literal] = sql.Identifier,
    ) -> None:
        """Run a statement on all nodes at once, each outside a transaction."""
        composed = sql.SQL(statement).format(*map(kind, names))

        def run(node: int) -> None:
            with psycopg.connect(self.conninfo(node, within), autocommit=True) as connection:
                connection.execute(composed)

        with ThreadPoolExecutor(len(self.ports)) as threads:
            list(threads.map(run, range(len(self.ports))))


@contextmanager
def run_cluster(binaries: Path, folder: Path) -> Iterator[Cluster]:
    """Run a coordinator and three workers with their data in a new folder, removed at the end.

    Raises ClusterError.
    """
    with ExitStack() as stack:
        folder.mkdir()
        stack.callback(shutil.rmtree, folder)
        nodes = [folder / str(node) for node in range(WORKERS + 1)]
        _initialize(binaries, nodes)
        # One after the other: a port that is free is taken before the next one is looked for.
        yield Cluster([stack.enter_context(_run(binaries, node)) for node in nodes])


def _initialize(binaries: Path, nodes: Sequence[Path]) -> None:
    """Create the data of all nodes at once."""
    started = []
    for data in nodes:
        data.mkdir(mode=0o700)
        command = [*_program(binaries, "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C", "--no-sync"]
        command += ["--set", "dynamic_shared_memory_type=mmap"]
        started.append(_spawn(command, data, process.identity_for_initdb(str(data))))
    # All are waited for before one that failed is reported.
    ends = [os.waitpid(initdb, 0)[1] for initdb in started]
    for data, end in zip(nodes, ends, strict=True):
        if end:
            raise ClusterError(f"initdb failed: {_log(data)}")


@contextmanager
def _run(binaries: Path, data: Path) -> Iterator[int]:
    """Run a server; yield its port."""
    port = _free_port()
    command = [*_program(binaries, "postgres"), "-D", str(data), "-c", f"port={port}"]
    for name, value in SETTINGS.items():
        command += ["-c", f"{name}={value}"]
    server = _spawn(command, data, process.identity_for(str(data)))
    ended = False
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _ready(data):
            ended = os.waitpid(server, os.WNOHANG) != (0, 0)
            if ended or time.monotonic() > deadline:
                raise ClusterError(f"postgres did not start: {_log(data)}")
            time.sleep(POLL_SECONDS)
        yield port
    finally:
        if not ended:
            # At once: the data is removed next.
            os.kill(server, signal.SIGQUIT)
            os.waitpid(server, 0)


def _spawn(command: list[str], data: Path, become: Callable[[], None]) -> int:
    """Start a program that ends with this process, however this one ends."""
    with data.with_suffix(".log").open("ab") as log:
        return process.spawn(command, become=become, output=log.fileno())


def _log(data: Path) -> str:
    return data.with_suffix(".log").read_text(errors="replace")[-LOG_CHARACTERS:]


def _program(binaries: Path, name: str) -> list[str]:
    """Return how to start a program of PostgreSQL with its own libraries, where it has some."""
    libraries = binaries.parent / "lib"
    search = [f"LD_LIBRARY_PATH={libraries}"] if libraries.is_dir() else []
    return [shutil.which("env") or "/usr/bin/env", *search, str(binaries / name)]


def _ready(data: Path) -> bool:
    try:
        return (data / "postmaster.pid").read_bytes().split(b"\n")[7:8] == [b"ready   "]
    except FileNotFoundError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
