"""The dispatcher's bookkeeping alone, beside one UPDATE of the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import Final

import pytest

from reconsent.domain.mail import Mail, Provider, Recipient, Result
from reconsent.domain.signing import Signer
from reconsent.facts.record.publishing import publish
from reconsent.facts.versions import PublishedVersions
from reconsent.store.leases import Lease
from reconsent.store.postgres import Database
from reconsent.workers.dispatcher import Dispatcher
from reconsent.workers.planner import Planner
from reconsent.workers.running import collect_rarely, run_until_idle
from tests.bench.floors import bare
from tests.bench.rows import TIMES, Row, Table, memory, seconds
from tests.bench.worlds import LAST_ACCOUNT, add, fill, vacuum, version
from tests.mails import clock

NEXT: Final = 50_000
_COHORTS: Final = 20
_FLOOR: Final = """
UPDATE bare_notices AS bare SET
    state = sent.state, attempt_id = sent.attempt_id, ask_id = sent.ask_id,
    rendering = sent.rendering, address_hash = sent.address_hash, accepted_at = sent.accepted_at
FROM notices AS sent
WHERE bare.bucket = sent.bucket AND bare.account_key = sent.account_key
  AND bare.version_id = sent.version_id AND bare.sequence = sent.sequence
  AND bare.state = 'due' AND sent.state = 'accepted'
  AND bare.bucket = ANY(ARRAY(SELECT bucket FROM buckets)) AND bare.account_key > %(after)s
  AND sent.bucket = ANY(ARRAY(SELECT bucket FROM buckets)) AND sent.account_key > %(after)s
"""
_BARE: Final = """
INSERT INTO bare_notices SELECT * FROM notices
WHERE bucket = ANY(ARRAY(SELECT bucket FROM buckets)) AND account_key > %(after)s
"""
# Accounts that were added beside the program are planned like those that changed.
_CHANGED: Final = """
INSERT INTO changes (bucket, account_key, stream)
SELECT bucket, account_key, 'accounts' FROM accounts ORDER BY account_key DESC LIMIT %(accounts)s
"""
_ROW: Final = Row(
    name="dispatch",
    path=f"dispatch bookkeeping, {_COHORTS} asks, a provider that says yes",
    floor="one UPDATE of the same rows",
    most=2.2,
)


class Agreeable:
    """A provider that accepts everything at once, a thousand at a time."""

    name = "agreeable"
    at_most = 1000
    together = False
    repeats_safely = False
    rests_until: datetime | None = None

    def send(self, _: Mail, recipients: Sequence[Recipient]) -> Sequence[Result]:
        """Accept all."""
        return [Result("accepted")] * len(recipients)


@pytest.mark.rows("dispatch")
def test_dispatch(database: Database, conninfo: str, table: Table) -> None:
    """A release to accounts in some cohorts."""
    ask(database, conninfo, cohorts=_COHORTS)
    dispatching, floor, sent = measure_dispatch(database, conninfo, first=1)
    table.floor("dispatch", _FLOOR)
    table.add(_ROW, items=sent, path=dispatching, floor=floor, note=f"{memory():,.0f} MB")


def ask(database: Database, conninfo: str, *, cohorts: int) -> None:
    """Publish a version that asks all accounts that are added later."""
    fill(database, conninfo, accounts=0, cohorts=cohorts)
    draft = version("v2", "v1", "essential.service", "marketing")
    database.transaction(lambda connection: publish(connection, draft, PublishedVersions()))


def measure_dispatch(
    database: Database, conninfo: str, *, first: int
) -> tuple[list[float], list[float], int]:
    """Add accounts, numbered from `first` on, plan and mail them; return the seconds, and how many.

    The database was filled by `fill`, and has a version that asks everybody.
    """
    dispatching, floor = [], []
    sent = 0
    with database.connection() as connection:
        bare(connection, "notices")
        connection.execute("INSERT INTO bare_notices SELECT * FROM notices")
    for start in range(first, first + TIMES * NEXT, NEXT):
        with database.connection() as connection:
            [(last,)] = connection.execute(LAST_ACCOUNT).fetchall()
        added = {"after": last}
        due = plan_next(database, conninfo, start, NEXT)
        with database.connection() as connection:
            connection.execute(_BARE, added)
        dispatching.append(seconds(lambda: dispatch(database, conninfo, Agreeable())))
        floor.append(seconds(partial(_update_plainly, database, added)))
        sent += due
    return dispatching, floor, sent // TIMES


def _update_plainly(database: Database, added: Mapping[str, int]) -> None:
    with database.connection() as connection:
        connection.execute(_FLOOR, added)


def plan_next(database: Database, conninfo: str, start: int, accounts: int) -> int:
    """Add accounts, numbered from `start` on, and plan them; return how many notices are due."""
    with database.connection() as connection:
        add(connection, start, start + accounts - 1)
        connection.execute(_CHANGED, {"accounts": accounts})
    run_until_idle([Planner(database)])
    vacuum(conninfo)
    with database.connection() as connection:
        [(due,)] = connection.execute("SELECT count(*) FROM notices WHERE state = 'due'").fetchall()
    return int(due)


def dispatch(database: Database, conninfo: str, provider: Provider) -> None:
    """Hand all that is due to a provider."""
    with closing(Lease(conninfo)) as lease:
        dispatcher = Dispatcher(
            database,
            lease,
            provider,
            Signer("secret of the benchmark"),
            public_url="https://privacy.reconsent.test",
            sender="Privacy <privacy@reconsent.test>",
            now=clock,
        )
        collect_rarely()
        run_until_idle([dispatcher])
