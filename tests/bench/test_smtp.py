"""Mails per second to smtp-sink, with all records: beside the records alone, and beside smtplib.

All send the same mail, of at least 10 KB with text and HTML, to separate recipients. Those of the
dispatcher have a return path each.
"""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import aiosmtplib
import pytest
from typing_extensions import override

from reconsent.domain.mail import Mail, Recipient, Result
from reconsent.domain.signing import Signer
from reconsent.mail.mime import MimeMail
from reconsent.mail.return_path import ReturnPath
from reconsent.mail.smtp.provider import Smtp
from reconsent.mail.smtp.settings import smtp_settings
from reconsent.store.postgres import Database
from tests.bench.rows import TIMES, Row, Table, memory, seconds
from tests.bench.test_dispatch import Agreeable, ask, dispatch, plan_next
from tests.mails import clock, people
from tests.stand_ins.smtp_sink import running_sink

ACCOUNTS: Final = 20_000
PLAIN: Final = 4_000
_FIRST: Final = 1_000
SMALLEST: Final = 10 * 1024
_PATH: Final = "dispatch over SMTP, multipart of 10 KB or more"
_ROWS: Final = (
    Row(name="smtp", path=_PATH, floor="the bookkeeping alone", least=0.6),
    Row(name="smtp-smtplib", path=_PATH, floor="bare smtplib, the same bytes", least=5),
    Row(name="smtp-aiosmtplib", path=_PATH, floor="aiosmtplib, four connections"),
)


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


@pytest.mark.rows(*(row.name for row in _ROWS))
def test_mails_per_second(database: Database, conninfo: str, table: Table, port: int) -> None:
    """The whole dispatcher, its records alone, and plain sending of prepared bytes."""
    ask(database, conninfo, cohorts=1)
    returns = ReturnPath("bounces@reconsent.test", Signer("secret of the benchmarks"))
    smtp = Recording(smtp_settings(f"smtp://127.0.0.1:{port}"), clock, return_path=returns)
    over_smtp, alone, plain, several = [], [], [], []
    # A few first, for the mail that others send too, and so that all turns hold the same.
    plan_next(database, conninfo, 1, _FIRST)
    dispatch(database, conninfo, smtp)
    mails = _prepared(smtp.mail)
    grown = []
    for turn in range(TIMES):
        start = 1 + _FIRST + 2 * turn * ACCOUNTS
        due = plan_next(database, conninfo, start, ACCOUNTS)
        over_smtp.append(seconds(lambda: dispatch(database, conninfo, smtp)) / due)
        grown.append(memory())
        due = plan_next(database, conninfo, start + ACCOUNTS, ACCOUNTS)
        alone.append(seconds(lambda: dispatch(database, conninfo, Agreeable())) / due)
        plain.append(seconds(lambda: by_smtplib(port, mails)) / PLAIN)
        several.append(seconds(lambda: asyncio.run(by_aiosmtplib(port, mails))) / PLAIN)
    smtp.close()
    note = " -> ".join(f"{one:,.0f}" for one in grown) + " MB"
    for row, floor in zip(_ROWS, (alone, plain, several), strict=True):
        table.add(row, items=1, path=over_smtp, floor=floor, note=note)


def _prepared(mail: Mail | None) -> list[tuple[str, bytes]]:
    assert mail
    mime = MimeMail(mail, date=datetime.now(UTC))
    mails = [(one.email, mime.addressed(one, one.email)) for one in people(PLAIN)]
    assert min(len(content) for _, content in mails) >= SMALLEST
    return mails
