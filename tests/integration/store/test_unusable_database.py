"""A database that cannot be used is one line and exit 3; a bug is none of these."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import LiteralString

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from reconsent.bus.postgres import PostgresConsumer
from reconsent.cli.main import run
from reconsent.domain.errors import OutsideError
from reconsent.program import Program
from reconsent.store.leases import Lease, SoleRight
from reconsent.store.postgres import connect, open_database
from reconsent.workers.intake import GROUP
from tests.integration.store.servers import PERMIT, TRIED, Server, complaint
from tests.integration.test_database_gone import COMMANDS


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "WIN1252", "EUC_JP"])
def test_another_encoding_is_refused(
    admin: Server,
    use: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    encoding: LiteralString,
) -> None:
    """Nothing is created, and no answer is given."""
    conninfo = admin.database(f"ENCODING '{encoding}' LOCALE 'C'")
    use(conninfo)
    for arguments in (PERMIT, ["migrate"], ["up"], ["emit", "accounts", *_emitted()]):
        line = complaint(arguments, capsys, caplog)
        assert f"its encoding is {encoding}" in line
    with psycopg.connect(conninfo) as connection:
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert connection.execute(tables).fetchone() == (0,)


def _emitted() -> list[str]:
    return COMMANDS["emit"][1:]


def _name(conninfo: str) -> str:
    return str(conninfo_to_dict(conninfo)["dbname"])


@pytest.mark.parametrize("command", TRIED)
def test_a_database_that_only_reads_is_told_in_one_line(
    make_database: Callable[[], str],
    use: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    command: str,
) -> None:
    """What has to write ends with exit 3; what only reads still answers."""
    conninfo = make_database()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        name = Identifier(_name(conninfo))
        connection.execute(
            SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name)
        )
    use(conninfo)
    caplog.clear()
    if run([*command.split(), *COMMANDS[command]], Program) == 3:
        shown = capsys.readouterr().err.splitlines()
        [line] = shown + [record.getMessage() for record in caplog.records]
        assert "read-only transaction" in line
    else:
        assert command not in {"run", "policy publish", "import", "emit"}


def test_leases_that_cannot_be_taken_are_told_in_one_line(
    admin: Server, make_database: Callable[[], str]
) -> None:
    """Without rights on their table, neither a sender nor a planner nor a consumer begins."""
    conninfo = make_conninfo(make_database(), user=admin.role())
    with pytest.raises(OutsideError, match=r"^database: permission denied"):
        Lease(conninfo)
    with pytest.raises(OutsideError, match=r"^database: permission denied"):
        SoleRight(conninfo, "planner").take()
    with pytest.raises(OutsideError, match=r"^bus: permission denied"):
        PostgresConsumer(partial(connect, conninfo, autocommit=True), GROUP)


def test_too_many_connections_are_told_in_one_line(
    admin: Server,
    make_database: Callable[[], str],
    use: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also where the limit is reached only while the program runs."""
    conninfo = make_database()
    use(conninfo)
    with open_database(conninfo, size=2) as database, database.connection():
        admin.run("ALTER DATABASE {} CONNECTION LIMIT 1", _name(conninfo))
        database.patience = 0.2
        with pytest.raises(OutsideError, match=r"database: .*too many connections"):
            database.transaction(lambda connection: database.transaction(lambda _: connection))
        assert "too many connections" in complaint(PERMIT, capsys, caplog)


@pytest.mark.parametrize(
    "state", ["53100", "53200", "53300", "57P01", "58030", "XX001", "XX000", "42501", "25006"]
)
def test_what_is_no_bug_of_ours_is_outside(
    make_database: Callable[[], str], state: LiteralString
) -> None:
    """A full disk, a lack of memory, damage, a lost right: an OutsideError of one line."""
    raising = f"DO $$ BEGIN RAISE 'what happened' USING ERRCODE = '{state}'; END $$"
    with (
        open_database(make_database(), size=1) as database,
        pytest.raises(OutsideError, match=r"^database: what happened$"),
    ):
        database.transaction(lambda connection: connection.execute(raising))


def test_a_bug_is_never_an_answer(
    use: Callable[[str], None],
    make_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An error that nobody foresaw shows its traceback and exits with 3: 1 would say denied."""
    use(make_database())

    def broken(_: Program) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(Program, "database", property(broken))
    assert run(PERMIT, Program) == 3
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert re.search("KeyError: 'lost'$", shown.strip())


def test_the_connection_is_in_utf_8(make_database: Callable[[], str]) -> None:
    """What a role sets as its own encoding does not matter."""
    conninfo = make_database()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(
            SQL("ALTER DATABASE {} SET client_encoding = 'LATIN1'").format(
                Identifier(_name(conninfo))
            )
        )
    with connect(conninfo) as connection:
        assert connection.execute("SELECT '雪'").fetchone() == ("雪",)
