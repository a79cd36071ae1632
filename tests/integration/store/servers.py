"""Roles and databases on the tests' server, and what commands say of them."""

from __future__ import annotations

from typing import Final, LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from reconsent.cli.main import run
from reconsent.program import Program
from tests.integration.test_database_gone import ACCOUNT, COMMANDS

# `up` never ends, and the demo has a database of its own.
TRIED: Final = [command for command in COMMANDS if command not in {"up", "demo"}]
PERMIT: Final = ["permit", *ACCOUNT, "--category", "user.contact", "--use", "marketing"]


class Server:
    """The tests' server, by its administrator."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.owner = str(conninfo_to_dict(server)["user"])
        self._names: list[str] = []

    def run(self, command: LiteralString, *names: str, dbname: str = "postgres") -> None:
        """Run a command as the administrator; `{}` are names."""
        admin = make_conninfo(self._server, user="postgres", dbname=dbname)
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(SQL(command).format(*map(Identifier, names)))

    def role(self) -> str:
        """Create a role that may do nothing."""
        name = f"role_{uuid4().hex[:12]}"
        self.run("CREATE ROLE {} LOGIN", name)
        return name

    def database(self, more: LiteralString = "") -> str:
        """Create a database of the tests' role; return its conninfo."""
        name = f"test_{uuid4().hex[:12]}"
        self.run("CREATE DATABASE {} OWNER {} TEMPLATE template0 " + more, name, self.owner)
        return make_conninfo(self._server, dbname=name)


def complaint(
    arguments: list[str], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> str:
    """Run a command that must end with exit code 3 and one line; return the line."""
    caplog.clear()
    capsys.readouterr()
    code = run(arguments, Program)
    shown = capsys.readouterr().err.splitlines()
    shown += [record.getMessage() for record in caplog.records]
    assert code == 3, shown
    [line] = shown
    return line
