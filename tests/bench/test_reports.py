"""Posts of SendGrid's webhook, read and recorded, beside a bare statement that writes the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final

import pytest

from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.record.publishing import publish
from reconsent.facts.versions import PublishedVersions
from reconsent.mail.sendgrid.events import read_events
from reconsent.store.postgres import Connection, Database
from tests.bench.floors import bare
from tests.bench.rows import TIMES, Row, Table, memory, seconds
from tests.bench.worlds import add, fill, vacuum, version
from tests.mails import clock
from tests.stand_ins.sendgrid_webhook import event

NEXT: Final = 20_000
_POST: Final = 1_000
# Mailed and accepted just now.
_TELL: Final = """
INSERT INTO notices (bucket, account_key, version_id, sequence, notice_id, kind, state, ask_id,
                     attempt_id, rendering, address_hash, accepted_at)
SELECT bucket, account_key, version_id, 1,
       notice_id(published, stem, mask, account_key, property, account, 1), 'information',
       'accepted', 0, 1, 'rendering', coalesce(address_hash, sha256('')), now() - interval '1 hour'
FROM accounts
JOIN notice_stems ON version_id = (SELECT max(version_id) FROM policy_versions)
WHERE account_key >= %(first)s ORDER BY account_key
"""
_TOLD: Final = """
SELECT notice_id::text, email FROM notices JOIN accounts USING (bucket, account_key)
WHERE account_key >= %(first)s AND state = 'accepted' AND email IS NOT NULL ORDER BY account_key
"""
_FLOOR: Final = """
WITH events AS (
    INSERT INTO bare_mail_events SELECT events.*
    FROM mail_events AS events WHERE account_key >= %(first)s
), marks AS (
    INSERT INTO bare_mailbox_marks SELECT marks.*
    FROM mailbox_marks AS marks WHERE marked_at > %(since)s
), reports AS (
    INSERT INTO bare_mailbox_reports SELECT reports.*
    FROM mailbox_reports AS reports WHERE recorded_at > %(since)s
), changes AS (
    INSERT INTO bare_changes SELECT changes.* FROM changes WHERE account_key >= %(first)s
)
UPDATE bare_notices AS bare SET state = reported.state, undelivered = reported.undelivered
FROM notices AS reported
WHERE bare.bucket = reported.bucket AND bare.account_key = reported.account_key
  AND bare.version_id = reported.version_id AND bare.sequence = reported.sequence
  AND reported.account_key >= %(first)s AND reported.state <> 'accepted'
"""
_TABLES: Final = ("notices", "mail_events", "mailbox_marks", "mailbox_reports", "changes")
_FLOOR_NAME: Final = "the same rows, by one bare statement"
_ROWS: Final = {
    "notice": Row(
        name="reports",
        path=f"SendGrid's posts of {_POST:,} deliveries, read and recorded",
        floor=_FLOOR_NAME,
    ),
    "address": Row(
        name="reports-by-address",
        path=f"posts of {_POST:,} bounces that name only an address",
        floor=_FLOOR_NAME,
    ),
}
"""What the events of the posts name."""


@pytest.mark.parametrize(
    "named", [pytest.param(name, marks=pytest.mark.rows(row.name)) for name, row in _ROWS.items()]
)
def test_reports(database: Database, conninfo: str, table: Table, named: str) -> None:
    """Reports about mails that were accepted just now."""
    fill(database, conninfo, accounts=0, cohorts=1)
    draft = version("v2", "v1", "essential.service", "marketing")
    database.transaction(lambda connection: publish(connection, draft, PublishedVersions()))
    taken, floor, events = measure_reports(database, conninfo, first=1, named=named)
    table.floor("reports", _FLOOR)
    table.add(_ROWS[named], items=events, path=taken, floor=floor, note=f"{memory():,.0f} MB")


def measure_reports(
    database: Database, conninfo: str, *, first: int, named: str = "notice"
) -> tuple[list[float], list[float], int]:
    """Add accounts, numbered from `first` on, mail them and report; return the seconds, how many.

    The database was filled by `fill`, and has a second version.
    """
    taken, floor = [], []
    events = 0
    for start in range(first, first + TIMES * NEXT, NEXT):
        with database.connection() as connection:
            since = _tell(connection, start)
            mails = connection.execute(_TOLD, since).fetchall()
        vacuum(conninfo)
        posts = _posts(mails, named)
        taken.append(seconds(lambda: _record(database, posts)))  # noqa: B023 -- called now
        floor.append(
            seconds(lambda: database.transaction(lambda c: c.execute(_FLOOR, since)))  # noqa: B023
        )
        events += len(mails)
    return taken, floor, events // TIMES


def _tell(connection: Connection, start: int) -> dict[str, object]:
    """Add and mail accounts; return the key of the first, and when they were mailed."""
    found = connection.execute("SELECT coalesce(max(account_key), 0) + 1, now() FROM accounts")
    [(first, now)] = found.fetchall()
    since = {"first": first, "since": now}
    add(connection, start, start + NEXT - 1)
    connection.execute(_TELL, since)
    for name in _TABLES:
        bare(connection, name)
    connection.execute(
        "INSERT INTO bare_notices SELECT * FROM notices WHERE account_key >= %(first)s", since
    )
    return since


def _posts(mails: Sequence[tuple[str, str]], named: str) -> list[str]:
    now = clock().timestamp()
    events = [
        event("delivered", email, {"reconsent_notice": notice}, now)
        if named == "notice"
        else event("bounce", email, {}, now)
        for notice, email in mails
    ]
    return [json.dumps(events[at : at + _POST]) for at in range(0, len(events), _POST)]


def _record(database: Database, posts: Sequence[str]) -> None:
    for body in posts:
        reports = read_events(body, clock())
        counts = database.transaction(
            lambda connection: record_mail_events(connection, reports.mail, _hash)  # noqa: B023 -- called now
        )
        assert counts.new == len(reports.mail)


def _hash(email: str) -> bytes:
    """Hash as the accounts of benchmarks do."""
    return hashlib.sha256(email.encode()).digest()
