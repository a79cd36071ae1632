"""Mails per second to smtp-sink: plain senders, the provider, and the whole dispatcher.

All send the same mail, of at least 10 KB with text and HTML, to separate recipients.
"""

from __future__ import annotations

import asyncio
import smtplib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import aiosmtplib
import psycopg
import pytest
from typing_extensions import override

from reconsent.domain.mail import Mail, Recipient, Result
from reconsent.domain.signing import Signer
from reconsent.facts.record.publishing import publish
from reconsent.facts.record.standings import refresh_holdings
from reconsent.facts.versions import PublishedVersions
from reconsent.mail.mime import MimeMail
from reconsent.mail.smtp.provider import Smtp
from reconsent.mail.smtp.settings import smtp_settings
from reconsent.store.leases import Lease
from reconsent.store.postgres import Database
from reconsent.workers.dispatcher import Dispatcher
from reconsent.workers.planner import Planner
from reconsent.workers.running import run_until_idle
from tests.drafts import draft, row
from tests.filled import add_accounts, give_data
from tests.mails import clock, people
from tests.stand_ins.smtp_sink import running_sink

NOTICES = 20_000
PLAIN = 4_000
SENDER = "Privacy <privacy@reconsent.test>"
SMALLEST = 10 * 1024


class Recording(Smtp):
    """The provider, which records the last mail."""

    mail: Mail | None = None

    @override
    def send(self, mail: Mail, recipients: Sequence[Recipient]) -> Sequence[Result]:
        """Record and send the mail."""
        self.mail = mail
        return super().send(mail, recipients)


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a running sink."""
    with running_sink() as port:
        yield port


def fill(database: Database, conninfo: str) -> None:
    """Make accounts with one due choice notice each."""
    with database.connection() as connection:
        publish(connection, draft(declares=[row("user", "essential.service")]), PublishedVersions())
        keys = add_accounts(
            connection,
            """
            SELECT 'campaigner.example', 'a' || n, 'a' || n || '@example.org', 'Person ' || n, NULL
            FROM generate_series(1, %(people)s) AS n
            """,
            {"people": NOTICES},
        )
        give_data(connection)
        refresh_holdings(connection, keys, PublishedVersions().now(connection))
        uses = [row("user", "essential.service", "marketing")]
        publish(connection, draft(version="v2", follows="v1", declares=uses), PublishedVersions())
    run_until_idle([Planner(database)])
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def by_smtplib(port: int, mails: Sequence[tuple[str, bytes]]) -> None:
    """Send prepared bytes over one connection of smtplib."""
    with smtplib.SMTP("127.0.0.1", port) as server:
        for address, content in mails:
            server.sendmail("privacy@reconsent.test", [address], content)


async def by_aiosmtplib(port: int, mails: Sequence[tuple[str, bytes]]) -> None:
    """Send prepared bytes over four connections of aiosmtplib."""

    async def work(part: Sequence[tuple[str, bytes]]) -> None:
        server = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)
        async with server:
            for address, content in part:
                await server.sendmail("privacy@reconsent.test", [address], content)

    await asyncio.gather(*(work(mails[start::4]) for start in range(4)))


def by_provider(smtp: Smtp, mail: Mail, recipients: Sequence[Recipient]) -> None:
    """Hand a mail over as the dispatcher does, without recording anything."""
    for start in range(0, len(recipients), smtp.at_most):
        results = smtp.send(mail, recipients[start : start + smtp.at_most])
        assert {result.outcome for result in results} == {"accepted"}


def rate(count: int, work: Callable[[], object]) -> tuple[float, float]:
    """Return the rate per second, and per second of this process's CPU time."""
    start, busy = time.perf_counter(), time.process_time()
    work()
    busy, start = time.process_time() - busy, time.perf_counter() - start
    return count / start, count / busy


def test_mails_per_second(database: Database, conninfo: str, port: int) -> None:
    """Plain sending of prepared bytes, the provider alone, and the whole dispatcher."""
    fill(database, conninfo)
    smtp = Recording(smtp_settings(f"smtp://127.0.0.1:{port}"), clock)
    lease = Lease(conninfo)
    dispatcher = Dispatcher(
        database,
        lease,
        smtp,
        Signer("secret of the benchmark"),
        public_url="https://privacy.reconsent.test",
        sender=SENDER,
        now=clock,
    )
    rates = {"dispatcher": rate(NOTICES, lambda: run_until_idle([dispatcher]))}
    lease.close()
    counts = database.transaction(
        lambda connection: connection.execute(
            "SELECT state, count(*) FROM notices GROUP BY state"
        ).fetchall(),
    )
    assert counts == [("accepted", NOTICES)]
    assert smtp.mail
    everyone = people(PLAIN)
    mime = MimeMail(smtp.mail, date=datetime.now(UTC))
    mails = [(one.email, mime.addressed(one, one.email)) for one in everyone]
    size = min(len(content) for _, content in mails)
    assert size >= SMALLEST
    rates["smtplib, plain"] = rate(PLAIN, lambda: by_smtplib(port, mails))
    rates["aiosmtplib, plain"] = rate(PLAIN, lambda: asyncio.run(by_aiosmtplib(port, mails)))
    mail = smtp.mail
    rates["provider alone"] = rate(PLAIN, lambda: by_provider(smtp, mail, everyone))
    smtp.close()
    base = rates["smtplib, plain"]
    print(f"\n{'mails of ' + str(size) + ' bytes':<22}{'per second':>12}{'ratio':>7}", end="")
    print(f"{'per CPU second':>16}{'ratio':>7}")
    for name, (walled, busy) in rates.items():
        print(f"{name:<22}{walled:>12,.0f}{walled / base[0]:>7.2f}", end="")
        print(f"{busy:>16,.0f}{busy / base[1]:>7.2f}")
