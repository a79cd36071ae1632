"""Notices per second through SendGrid's stand-in, with all records, beside its client alone.

The stand-in shares the machine.
"""

from __future__ import annotations

from typing import Any, Final

import pytest
from sendgrid import SendGridAPIClient  # type: ignore[import-untyped]

from reconsent.mail.sendgrid.provider import SendGrid
from reconsent.store.postgres import Database
from tests.bench.rows import TIMES, Row, Table, memory, seconds
from tests.bench.test_dispatch import ask, dispatch, plan_next
from tests.mails import clock
from tests.stand_ins.sendgrid import SendGridStandIn, running_sendgrid

ACCOUNTS: Final = 50_000
_ROW: Final = Row(
    name="sendgrid",
    path="dispatch over SendGrid's stand-in",
    floor="the client posting the same bodies",
    least=0.6,
)


@pytest.mark.rows("sendgrid")
def test_notices_per_second(database: Database, conninfo: str, table: Table) -> None:
    """The whole dispatcher, and then the same number of recipients by the client alone."""
    ask(database, conninfo, cohorts=1)
    sending, alone, grown = [], [], []
    with running_sendgrid(keep=1) as stand_in:
        provider = SendGrid(stand_in.api_key, stand_in.host, clock)
        for turn in range(TIMES):
            due = plan_next(database, conninfo, 1 + turn * ACCOUNTS, ACCOUNTS)
            sending.append(seconds(lambda: dispatch(database, conninfo, provider)) / due)
            grown.append(memory())
            [body] = stand_in.accepted()[-1:]
            posted = len(body["personalizations"])
            requests = due // posted
            spent = seconds(lambda: _post(stand_in, body, requests))  # noqa: B023 -- called now
            alone.append(spent / (requests * posted))
    note = " -> ".join(f"{one:,.0f}" for one in grown) + " MB"
    table.add(_ROW, items=1, path=sending, floor=alone, note=note)


def _post(stand_in: SendGridStandIn, body: dict[str, Any], requests: int) -> None:
    client = SendGridAPIClient(stand_in.api_key, host=stand_in.host).client
    for _ in range(requests):
        assert client.mail.send.post(request_body=body).status_code == 202
