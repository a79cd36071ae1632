"""Accounts mailed through SendGrid, and the running webhook."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from reconsent.config import settings
from reconsent.domain.signing import Signer
from reconsent.facts.record.publishing import publish
from reconsent.facts.record.standings import refresh_holdings
from reconsent.facts.versions import PublishedVersions
from reconsent.program import Program
from reconsent.store.postgres import Connection
from reconsent.workers.running import run_until_idle
from tests.drafts import draft, row
from tests.filled import add_accounts, give_data
from tests.stand_ins.sendgrid import SendGridStandIn
from tests.stand_ins.sendgrid_webhook import Signing, event

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A running program and the key of its webhook."""

    program: Program
    client: httpx.Client
    signing: Signing
    fresh: Iterator[tuple[str, str]]
    """Mailed accounts that no test has used yet, each with its notice."""

    def post(self, *events: object, at: float | None = None) -> httpx.Response:
        """Post events as SendGrid does."""
        body = json.dumps(events).encode()
        headers = self.signing.headers(body, at)
        return self.client.post("/hooks/sendgrid", content=body, headers=headers)

    def state(self, account: str) -> str:
        """Return the state of an account's last notice."""
        return str(self.rows(account)[-1][0])

    def rows(self, account: str) -> list[tuple[Any, ...]]:
        """Return the state of each of an account's notices, and whether it is undelivered."""
        return self._all(
            "SELECT state, undelivered FROM notices JOIN accounts USING (bucket, account_key)"
            " WHERE account = %s ORDER BY sequence",
            account,
        )

    def events(self, notice: str) -> list[tuple[Any, ...]]:
        """Return the recorded mail events of a notice: event, reason, id."""
        return self._all(
            "SELECT event, reason, provider_id FROM mail_events WHERE notice_id = %s"
            " ORDER BY occurred_at, event",
            notice,
        )

    def marks(self, account: str) -> list[str]:
        """Return the marks on an account's mailbox."""
        rows = self._all(
            "SELECT mark FROM accounts JOIN mailbox_marks USING (address_hash)"
            " WHERE account = %s AND lifted_at IS NULL ORDER BY mark",
            account,
        )
        return [mark for (mark,) in rows]

    def work(self, *services: str) -> None:
        """Run services until they are idle."""
        run_until_idle(self.program.services(services or ("planner", "dispatcher"), patience=0))

    def _all(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        def work(connection: Connection) -> list[tuple[Any, ...]]:
            return connection.execute(query.encode(), parameters).fetchall()

        return self.program.database.transaction(work)


def report(kind: str, notice: str, at: float, **changed: object) -> Json:
    """Return an event about a notice."""
    return event(kind, "somebody@people.test", {"reconsent_notice": notice}, at, **changed)


def nameless(kind: str, email: str, at: float, **changed: object) -> Json:
    """Return an event that names an address and no notice."""
    return event(kind, email, {}, at, **changed)


@contextmanager
def mailed(people: int, stand_in: SendGridStandIn, conninfo: str, home: Path) -> Iterator[Place]:
    """Mail `people` accounts, p0 and so on, and serve the pages."""
    signing = Signing()
    environment = {
        "RECONSENT_HOME": str(home),
        "DATABASE_URL": conninfo,
        "RECONSENT_SECRET": "secret of the tests",
        "RECONSENT_API_TOKEN": "token of the tests",
        "RECONSENT_LISTEN": "127.0.0.1:0",
        "MAIL_URL": "sendgrid://",
        "MAIL_FROM": "Privacy <privacy@example.com>",
        "SENDGRID_HOST": stand_in.host,
        "SENDGRID_API_KEY": stand_in.api_key,
        "SENDGRID_WEBHOOK_KEY": signing.public_key,
    }
    with Program(settings(environment)) as program:
        program.database.transaction(lambda connection: _ask(connection, people, program.signer))
        run_until_idle(program.services(["planner", "dispatcher"], patience=0))
        rows = program.database.transaction(_notices)
        web = program.web()
        web.start()
        url = f"http://127.0.0.1:{web.port}"
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            yield Place(program=program, client=client, signing=signing, fresh=iter(rows))


def _ask(connection: Connection, people: int, signer: Signer) -> None:
    """Create accounts that a new version asks."""
    publish(connection, draft(declares=[row("user", "essential.service")]), PublishedVersions())
    keys = add_accounts(
        connection,
        """
        SELECT 'campaigner.example', 'p' || n, 'p' || n || '@people.test', NULL, NULL
        FROM generate_series(0, %(people)s - 1) AS n
        """,
        {"people": people},
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE accounts SET address_hash = %s WHERE account = %s",
            [(signer.address_hash(f"p{n}@people.test"), f"p{n}") for n in range(people)],
        )
    give_data(connection)
    refresh_holdings(connection, keys, PublishedVersions().now(connection))
    asking = [row("user", "essential.service", "marketing")]
    respond = {"respond_by": "P30D"}
    publish(
        connection,
        draft(version="v2", follows="v1", declares=asking, notice=respond),
        PublishedVersions(),
    )


def _notices(connection: Connection) -> Sequence[tuple[str, str]]:
    found = connection.execute(
        "SELECT account, notice_id::text FROM notices JOIN accounts USING (bucket, account_key)"
        " WHERE state = 'accepted' ORDER BY account_key"
    )
    return found.fetchall()
