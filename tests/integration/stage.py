"""What worlds run on: a database, the bus, the pages, a mail provider, a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import psycopg

from reconsent.bus.postgres import PostgresConsumer, PostgresProducer
from reconsent.domain.bus import Consumer, Producer
from reconsent.domain.mail import Mail, Outcome, Recipient, Result
from reconsent.domain.signing import Signer
from reconsent.facts.read.permissions import Permissions
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.leases import Lease
from reconsent.store.log import lag
from reconsent.store.postgres import Database, connect, open_database
from reconsent.web.access import Context
from reconsent.web.app import create_app
from reconsent.words.views import Site
from reconsent.workers.intake import GROUP, Intake
from tests.filled import KEPT_WHEN_EMPTIED

URL: Final = "http://reconsent.test"
SENDER: Final = "Privacy <privacy@reconsent.test>"
INFORMATION_SENDER: Final = "News <news@reconsent.test>"
TOKEN: Final = "token of the tests"


@dataclass(kw_only=True)
class Mailbox:
    """A mail provider that keeps its mails and returns the given results.

    `answers` gives the outcome or the whole result for some notices; others are accepted.
    """

    name: str = "tests"
    at_most: int = 3
    together: bool = False
    repeats_safely: bool = False
    rests_until: datetime | None = None
    answers: dict[UUID, Outcome | Result] = field(default_factory=dict)
    kept: list[tuple[Mail, Recipient]] = field(default_factory=list)

    def send(self, mail: Mail, recipients: Sequence[Recipient]) -> Sequence[Result]:
        """Keep the accepted mails."""
        assert 0 < len(recipients) <= self.at_most
        answers = [self.answers.get(UUID(to.notice), "accepted") for to in recipients]
        results = [a if isinstance(a, Result) else Result(a) for a in answers]
        self.kept += [
            (mail, to)
            for to, result in zip(recipients, results, strict=True)
            if result.outcome == "accepted"
        ]
        return results


class Playground:
    """A database that is reused for one world after another."""

    def __init__(self, conninfo: str) -> None:
        """Turn durability off; no test here needs it."""
        self.conninfo = conninfo
        role = psycopg.conninfo.conninfo_to_dict(conninfo)
        name = psycopg.sql.Identifier(str(role["dbname"]))
        self._admin = psycopg.connect(conninfo, user="postgres", autocommit=True)
        self._admin.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name)
        )
        # Empties append-only tables too.
        self._admin.execute("SET session_replication_role = replica")
        tables = self._admin.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        emptied = (
            psycopg.sql.Identifier(table) for (table,) in tables if table not in KEPT_WHEN_EMPTIED
        )
        self._emptying = psycopg.sql.SQL("; ").join(
            psycopg.sql.SQL("DELETE FROM {}").format(table) for table in emptied
        )

    def empty(self) -> None:
        """Remove the previous world; the bus keeps its offsets."""
        self._admin.execute(self._emptying)

    def close(self) -> None:
        """Close the connection."""
        self._admin.close()


class Stage:
    """What worlds share: a database, the bus, the application and its event loop."""

    def __init__(
        self,
        conninfo: str,
        resources: ExitStack,
        producer: Producer | None = None,
        consume: Callable[[], Consumer] | None = None,
    ) -> None:
        """Open everything; the bus is the embedded one unless one is given."""
        self.conninfo = conninfo
        self._playground = Playground(conninfo)
        resources.callback(self._playground.close)
        self.database: Database = resources.enter_context(open_database(conninfo, size=4))
        self.signer = Signer("secret of the tests")
        self.lease = Lease(conninfo)
        resources.callback(self.lease.close)
        self.producer = producer or PostgresProducer(partial(connect, conninfo))
        resources.callback(self.producer.close)
        embedded = partial(PostgresConsumer, partial(connect, conninfo, autocommit=True), GROUP)
        self.intake = Intake(
            self.database,
            consume or embedded,
            self.signer.address_hash,
            patience=0,
            now=self.now,
        )
        resources.callback(self.intake.close)
        self.runner = resources.enter_context(asyncio.Runner())
        self.clock = datetime(2027, 1, 1, tzinfo=UTC)
        self.app = create_app(self._context())
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url=URL)
        resources.callback(lambda: self.runner.run(self.client.aclose()))

    def _context(self) -> Context:
        cohorts = Cohorts()
        return Context(
            database=self.database,
            signer=self.signer,
            api_token=TOKEN,
            site=Site(public_url=URL, contact=SENDER),
            mailbox=None,
            lags=lambda connection: lag(connection, GROUP),
            now=self.now,
            versions=PublishedVersions(),
            cohorts=cohorts,
            permissions=Permissions(cohorts),
            hosts=frozenset({urlsplit(URL).netloc}),
        )

    def now(self) -> datetime:
        """Return the time of the current step."""
        return self.clock

    def empty(self) -> None:
        """Remove the previous world."""
        self._playground.empty()
        self.app.state.context = self._context()


@contextmanager
def stage(
    conninfo: str,
    producer: Producer | None = None,
    consume: Callable[[], Consumer] | None = None,
) -> Iterator[Stage]:
    """Yield a stage, on the embedded bus unless another one is given."""
    with ExitStack() as resources:
        yield Stage(conninfo, resources, producer, consume)
