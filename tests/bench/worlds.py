"""Databases for benchmarks: many accounts in a given number of cohorts, written by SQL alone."""

from __future__ import annotations

from typing import Final

import psycopg

from reconsent.domain.policy import PolicyVersion
from reconsent.facts.record.publishing import publish
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Connection, Database
from tests.drafts import draft, row

SITE: Final = "campaigner.example"
# Each number from 1 on is a set of these categories: the bits that are set.
_HOLDINGS: Final = """
INSERT INTO holdings (holdings_id, members, digest)
SELECT set_id(members), members, sha256(convert_to(members::text, 'UTF8'))
FROM generate_series(1, %(cohorts)s) AS n
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array('user.kind' || lpad(bit::text, 2, '0'), 'v1') ORDER BY bit)
    FROM generate_series(0, 15) AS bit WHERE n >> bit & 1 = 1
) AS made (members)
ON CONFLICT DO NOTHING
"""
# The key after which accounts that are added have theirs.
LAST_ACCOUNT: Final = "SELECT coalesce(max(account_key) | 63, 63) FROM accounts"
# One in twenty has no address, one in thirty opted out, one in fifty is deactivated.
_ACCOUNTS: Final = """
WITH kinds AS (
    SELECT array_agg(holdings_id ORDER BY holdings_id) AS ids FROM holdings WHERE holdings_id <> 0
), made AS MATERIALIZED (
    SELECT bucket, nextval('account_numbers') << 6 | bucket AS account_key, account, n,
           CASE WHEN n %% 20 <> 0 THEN account || '@example.org' END AS email
    FROM generate_series(%(first)s, %(last)s::bigint) AS n
    CROSS JOIN LATERAL (SELECT 'account-' || n) AS named (account)
    CROSS JOIN LATERAL bucket_of_name(%(site)s, account) AS bucket
), added AS (
    INSERT INTO accounts (bucket, account_key, property, account, status, contact, email, name,
                          locale, address_hash, updated_at)
    SELECT bucket, account_key, %(site)s, account,
           CASE WHEN n %% 50 = 0 THEN 'deactivated' ELSE 'active' END,
           CASE WHEN n %% 30 = 0 THEN 'none' ELSE 'all' END,
           email, 'Person ' || n, 'en', sha256(convert_to(email, 'UTF8')), now() - interval '1 day'
    FROM made
)
INSERT INTO account_sets (bucket, account_key, holdings_id)
SELECT bucket, account_key, ids[1 + hashint8(n) %% cardinality(ids) + cardinality(ids) *
                                (hashint8(n) %% cardinality(ids) < 0)::integer]
FROM made CROSS JOIN kinds
"""


def version(name: str, follows: str | None, *uses: str) -> PolicyVersion:
    """Return a version that declares uses of all user data."""
    return draft(version=name, follows=follows, declares=[row("user", *uses)])


def fill(database: Database, conninfo: str, *, accounts: int, cohorts: int) -> None:
    """Publish a first version, and make accounts that hold data under it."""
    with database.connection() as connection:
        publish(connection, version("v1", None, "essential.service"), PublishedVersions())
        connection.execute("DELETE FROM planning_progress")
        connection.execute("UPDATE releases SET state = 'done'")
        connection.execute(_HOLDINGS, {"cohorts": cohorts})
        add(connection, 1, accounts)
    vacuum(conninfo)


def add(connection: Connection, first: int, last: int) -> None:
    """Make further accounts, with numbers from `first` to `last`, in the same cohorts."""
    connection.execute(_ACCOUNTS, {"first": first, "last": last, "site": SITE})


def vacuum(conninfo: str) -> None:
    """Have the statistics of a database that has been in use."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
