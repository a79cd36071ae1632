"""Planning and previewing a release, compared with a plain INSERT … SELECT of the same rows."""

from __future__ import annotations

import psycopg

from reconsent.domain.policy import PolicyVersion
from reconsent.facts.record.publishing import publish
from reconsent.facts.record.standings import refresh_holdings
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Database
from reconsent.workers.planner import Planner
from reconsent.workers.preview import preview
from reconsent.workers.running import run_until_idle
from tests.bench.rows import seconds
from tests.drafts import draft, row
from tests.filled import add_accounts, give_data

ACCOUNTS = 200_000
_PAIRS = (
    ("user.contact.email", "v1"),
    ("user.payment", "v1"),
    ("user.behavior", "v1"),
)


def version(name: str, follows: str | None, *uses: str) -> PolicyVersion:
    """Return a version that declares uses of all user data."""
    return draft(version=name, follows=follows, declares=[row("user", *uses)])


def fill(database: Database, conninfo: str) -> None:
    """Make accounts that hold up to three kinds of data, collected under the first version."""
    with database.connection() as connection:
        publish(connection, version("v1", None, "essential.service"), PublishedVersions())
        keys = add_accounts(
            connection,
            """
            SELECT 'campaigner.example', 'a' || n, 'a' || n || '@example.org', NULL, NULL
            FROM generate_series(1, %(accounts)s) AS n
            """,
            {"accounts": ACCOUNTS},
        )
        for position, (category, under) in enumerate(_PAIRS, 1):
            give_data(connection, category, under, every=position)
        refresh_holdings(connection, keys, PublishedVersions().now(connection))
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def test_planning_compared_with_a_plain_insert(database: Database, conninfo: str) -> None:
    """A release of one version to many accounts, and its preview."""
    fill(database, conninfo)
    planner = Planner(database)
    run_until_idle([planner])
    draft_version = version("v2", "v1", "essential.service", "marketing")
    counting = seconds(lambda: preview(database, draft_version))
    database.transaction(lambda connection: publish(connection, draft_version, PublishedVersions()))
    planning = seconds(lambda: run_until_idle([planner]))
    with database.connection() as connection:
        connection.execute("CREATE TABLE plain (LIKE notices INCLUDING ALL)")
    plain = seconds(
        lambda: database.transaction(
            lambda connection: connection.execute("INSERT INTO plain SELECT * FROM notices"),
        )
    )
    with database.connection() as connection:
        (planned,) = connection.execute("SELECT count(*) FROM notices").fetchone() or (0,)
    assert planned == ACCOUNTS
    print(
        f"\nplanning {planned:,} notices: {planning:.2f} s, plain insert {plain:.2f} s, "
        f"ratio {planning / plain:.2f}; preview {counting:.2f} s, ratio {counting / plain:.2f}"
    )
