"""From a due notice to a mail server, with the program as MAIL_URL configures it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconsent.config import settings
from reconsent.domain.errors import OutsideError
from reconsent.facts.record.publishing import publish
from reconsent.facts.record.standings import refresh_holdings
from reconsent.facts.versions import PublishedVersions
from reconsent.program import Program
from reconsent.workers.running import run_until_idle
from tests.drafts import draft, row
from tests.filled import add_accounts, give_data
from tests.integration.smtp_sending import parsed, reached
from tests.stand_ins.smtp_server import TAKE_AND_HANG_UP, MailServer, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconsent.store.postgres import Connection

PEOPLE = ["ann", "bo", "cy", "di", "ev"]


def ask(connection: Connection) -> None:
    """Create accounts that a new version asks."""
    publish(connection, draft(declares=[row("user", "essential.service")]), PublishedVersions())
    keys = add_accounts(
        connection,
        """
        SELECT 'campaigner.example', name, name || '@' || name || '.example', NULL, NULL
        FROM unnest(%(names)s::text[]) AS name
        """,
        {"names": PEOPLE},
    )
    give_data(connection)
    refresh_holdings(connection, keys, PublishedVersions().now(connection))
    asking = [row("user", "essential.service", "marketing")]
    publish(connection, draft(version="v2", follows="v1", declares=asking), PublishedVersions())


def program(mail_server: MailServer, conninfo: str, home: Path) -> Program:
    """Return the program, sending to a server."""
    environment = {
        "RECONSENT_HOME": str(home),
        "DATABASE_URL": conninfo,
        "RECONSENT_SECRET": "secret of the tests",
        "RECONSENT_API_TOKEN": "token of the tests",
        "MAIL_URL": mail_server.url("starttls=never&connections=1"),
        "MAIL_FROM": "Privacy <privacy@example.no>",
        "RECONSENT_RETURN_PATH": "bounces@example.no",
    }
    return Program(settings(environment))


def states(connection: Connection) -> dict[str, str]:
    """Return the state of each account's notice."""
    rows = connection.execute(
        "SELECT account, state FROM notices JOIN accounts USING (bucket, account_key)"
    )
    return dict(rows.fetchall())


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """Yield a mail server."""
    with running(MailServer()) as mail_server:
        yield mail_server


def test_the_servers_replies_are_recorded(
    mail_server: MailServer, conninfo: str, home: Path
) -> None:
    """Each notice is accepted, rejected or unknown, and nobody is mailed twice."""
    mail_server.odd_for["RCPT", "bo@bo.example"] = "550 5.1.1 No such user"
    mail_server.odd_for[".", "cy@cy.example"] = TAKE_AND_HANG_UP
    with program(mail_server, conninfo, home) as running_:
        with running_.database.connection() as connection:
            ask(connection)
        run_until_idle(running_.services(["planner", "dispatcher"], patience=0))
        with running_.database.connection() as connection:
            expected = dict.fromkeys(PEOPLE, "accepted") | {"bo": "rejected", "cy": "unknown"}
            assert states(connection) == expected
    mailed = sorted(reached(mail_server))
    assert mailed == [f"{account}@{account}.example" for account in PEOPLE if account != "bo"]
    for taken in mail_server.taken:
        message = parsed(taken.content)
        part = message.get_body(("plain",))
        assert part
        assert part.get_content().count("/c/") == 1
        notice = message["X-Reconsent-Notice"]
        assert message["Message-ID"] == f"<{notice}@example.no>"
        assert running_.return_path
        assert taken.sender == running_.return_path.of(notice)


def test_a_failing_server_loses_nothing(mail_server: MailServer, conninfo: str, home: Path) -> None:
    """The failure is reported; everything stays due and is sent once the server works."""
    mail_server.odd["MAIL"].extend(["451 4.3.0 Out of order"] * 2)
    with program(mail_server, conninfo, home) as running_:
        with running_.database.connection() as connection:
            ask(connection)
        services = running_.services(["planner", "dispatcher"], patience=0)
        with pytest.raises(OutsideError, match=r"MAIL_URL: localhost:\d+: .* Out of order"):
            run_until_idle(services)
        with running_.database.connection() as connection:
            assert set(states(connection).values()) == {"due"}
        mail_server.odd.clear()
        run_until_idle(services)
        with running_.database.connection() as connection:
            assert set(states(connection).values()) == {"accepted"}
    assert sorted(reached(mail_server)) == [f"{account}@{account}.example" for account in PEOPLE]
