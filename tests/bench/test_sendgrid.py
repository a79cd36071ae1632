"""Notices per second through SendGrid's stand-in, including all records, and peak memory.

The stand-in shares the machine, so it is also timed alone, with plain requests.
"""

from __future__ import annotations

import json

import httpx
import pytest

from reconsent.domain.signing import Signer
from reconsent.mail.sendgrid.provider import SendGrid
from reconsent.store.leases import Lease
from reconsent.store.postgres import Database
from reconsent.workers.dispatcher import Dispatcher
from reconsent.workers.running import run_until_idle
from tests.bench import test_smtp
from tests.bench.rows import memory, seconds
from tests.mails import clock
from tests.stand_ins.sendgrid import SendGridStandIn, running_sendgrid

NOTICES = 100_000
PART = 10_000
SENDER = "Privacy <privacy@reconsent.test>"


def post_plainly(stand_in: SendGridStandIn, requests: int) -> None:
    """Post the last accepted request again, and do nothing else."""
    [kept] = stand_in.accepted()[-1:]
    body = json.dumps(kept).encode()
    headers = {
        "Authorization": f"Bearer {stand_in.api_key}",
        "Content-Type": "application/json",
    }
    with httpx.Client(headers=headers, trust_env=False) as client:
        for _ in range(requests):
            response = client.post(f"{stand_in.host}/v3/mail/send", content=body)
            assert response.status_code == 202


def test_notices_per_second(
    database: Database, conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole dispatcher; memory is measured early and at the end, to show growth."""
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
        alone = seconds(lambda: post_plainly(stand_in, 20))
    rate, plain_rate = (NOTICES - sent) / took, 20_000 / alone
    print(
        f"\n{NOTICES:,} notices in {counts['requests']} requests, {rate:,.0f}/s; plain requests to "
        f"the same stand-in {plain_rate:,.0f}/s, ratio {rate / plain_rate:.2f}; memory after "
        f"{sent:,} {early:.0f} MB, at the end {memory():.0f} MB"
    )
