"""Notices a second through SendGrid's stand-in, with all that is recorded, and the memory it takes.

The stand-in, in Python and strict, shares the machine: it is timed alone too, with bare requests.
"""

from __future__ import annotations

import json
import resource

import httpx
import pytest

from reconsent.domain.signing import Signer
from reconsent.mail.sendgrid.provider import SendGrid
from reconsent.store.leases import Lease
from reconsent.store.postgres import Database
from reconsent.workers.dispatcher import Dispatcher
from reconsent.workers.running import run_until_idle
from tests.bench import test_smtp
from tests.bench.test_planning import seconds
from tests.mails import clock
from tests.stand_ins.sendgrid import SendGridStandIn, running_sendgrid

NOTICES = 100_000
PART = 10_000
SENDER = "Privacy <privacy@reconsent.test>"


def memory() -> float:
    """Return how much memory this process has taken at most, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def bare(stand_in: SendGridStandIn, requests: int) -> None:
    """Post the same requests with nothing else to do."""
    [kept] = stand_in.accepted()[-1:]
    body = json.dumps(kept).encode()
    headers = {
        "Authorization": f"Bearer {stand_in.api_key}",
        "Content-Type": "application/json",
    }
    with httpx.Client(headers=headers, trust_env=False) as client:
        for _ in range(requests):
            answer = client.post(f"{stand_in.host}/v3/mail/send", content=body)
            assert answer.status_code == 202


def test_notices_a_second(
    database: Database, conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole dispatcher, in parts, so that what it keeps in memory would show."""
    monkeypatch.setattr(test_smtp, "NOTICES", NOTICES)
    test_smtp.fill(database, conninfo)
    with running_sendgrid(keep=1) as stand_in:
        lease = Lease(conninfo)
        dispatcher = Dispatcher(
            database,
            lease,
            SendGrid(stand_in.api_key, stand_in.host, clock),
            Signer("secret of the benchmark"),
            public_url="https://privacy.reconsent.test",
            sender=SENDER,
            now=clock,
        )
        while stand_in.counts()["recipients"] < PART:
            dispatcher.work()
        sent, early = stand_in.counts()["recipients"], memory()
        took = seconds(lambda: run_until_idle([dispatcher]))
        lease.close()
        counts = stand_in.counts()
        assert counts["recipients"] == NOTICES
        alone = seconds(lambda: bare(stand_in, 20))
    rate, bare_rate = (NOTICES - sent) / took, 20_000 / alone
    print(
        f"\n{NOTICES:,} notices in {counts['requests']} requests, {rate:,.0f}/s; bare requests to "
        f"the same stand-in {bare_rate:,.0f}/s, ratio {rate / bare_rate:.2f}; memory after "
        f"{sent:,} {early:.0f} MB, in the end {memory():.0f} MB"
    )
