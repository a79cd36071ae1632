"""Statements that run for a few accounts look rows up by index, however many accounts there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.sql import SQL

from reconsent.facts.published.state import NOTICES_OF
from reconsent.facts.sending.due_by_time import OVERDUE
from reconsent.store.named import named

SIZE = 60_000
NOW = datetime(2027, 1, 10, tzinfo=UTC)
_FILL = (
    """INSERT INTO policies VALUES ('shop')""",
    """INSERT INTO policy_versions (policy, version, document, content_hash)
       SELECT 'shop', n, '{}', '' FROM generate_series(1, 2) AS n""",
    """INSERT INTO properties (property, policy) VALUES ('shop.example', 'shop')""",
    """INSERT INTO releases (version_id, state)
       SELECT version_id, 'done' FROM policy_versions""",
    """INSERT INTO asks (members, digest)
       VALUES ('[["user", null, "marketing", "acme"]]', sha256('ask'))""",
    """INSERT INTO accounts (property, account, email, address_hash, updated_at)
       SELECT 'shop.example', n, n || '@example.org', sha256(n::text::bytea), now()
       FROM generate_series(1, %(size)s) AS n""",
    # As if a transaction of its own had changed each of them.
    """INSERT INTO changes (changed, account_key, stream)
       SELECT account_key::text::xid8, account_key, stream
       FROM accounts, unnest(ARRAY['accounts', 'notices']) AS stream""",
    """INSERT INTO collections
       SELECT account_key, category, '1', now(), 'person'
       FROM accounts, unnest(ARRAY['user.contact.email', 'user.payment']) AS category""",
    """INSERT INTO attempts (provider, lease, members, payload_hash, ended_at)
       VALUES ('tests', 1, 1, '', now())""",
    """INSERT INTO renderings
       SELECT 'r', max(version_id), max(ask_id), 'shop.example', 'en', 'choice', '{}'
       FROM policy_versions, asks""",
    """INSERT INTO notices (account_key, version_id, sequence, kind, state, ask_id, attempt_id,
                            rendering, address_hash, accepted_at, dead)
       SELECT account_key, version_id, 1, 'choice',
              CASE WHEN account_key %% 2 = 0 THEN 'due' ELSE 'accepted' END,
              (SELECT max(ask_id) FROM asks), attempt_id, 'r', address_hash,
              CASE WHEN account_key %% 2 = 1
                   THEN timestamptz '2027-01-01' + account_key * interval '1 minute' END,
              account_key %% 1001 = 1
       FROM accounts, policy_versions, attempts
       WHERE account_key %% 2 = 1 OR account_key %% 1001 <> 1""",
    """ANALYZE""",
)


@pytest.fixture(scope="module")
def filled(make_database: Callable[[], str]) -> Iterator[psycopg.Connection]:
    """Give a connection to a database with many accounts, each with notices of two versions."""
    with psycopg.connect(make_database()) as connection:
        for statement in _FILL:
            connection.execute(statement, {"size": SIZE} if "%" in statement else None)
        yield connection


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a plan."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


KEYS = {"keys": list(range(1000, 1100))}
LATEST = {"version_id": 2, "versions": [2], "latest": [2]}
# Far on in a stream, with many changes before and after.
CURSOR = {"stream": "accounts", "transaction": "30000", "account_key": 30_000, "limit": 100}
NOTICES = {"notice_ids": [UUID(int=n) for n in range(100)]}
WHO = {"property": "shop.example", "account": "17", "at": None, "account_key": 17}
COMPOSED = {"notices_of": NOTICES_OF, "overdue": OVERDUE}
UNTIL = {"until": NOW, "limit": 1000, "accepted_until": NOW, "now": NOW, "reminded": [0, 1]}


@pytest.mark.parametrize(
    ("file", "query", "parameters", "index"),
    [
        ("changes", "changes_after", CURSOR, "changes_in_order"),
        ("changes", "any_changes", CURSOR, "changes_in_order"),
        ("changes", "prune", CURSOR, "changes_in_order"),
        ("ledgers", "first_collected", KEYS, "collections_account_key"),
        ("published/state", "notices_of", KEYS | LATEST, "notices_account_key_version_id"),
        ("read/account_story", "account", WHO, "accounts_property_account"),
        ("read/account_story", "holds", WHO, "collections_account_key"),
        ("record/forgetting", "close_notices", KEYS | LATEST, "notices_account_key_version_id"),
        ("record/forgetting", "forget_hashes_of_accepted", UNTIL, "notices_hashes_of_deleted"),
        ("record/forgetting", "forget_hashes_of_others", UNTIL, "notices_hashes_of_unaccepted"),
        ("record/forgetting", "forget_outcomes", KEYS, "notices_account_key_version_id"),
        ("record/standings", "make_holdings", KEYS, "collections_account_key"),
        ("record/standings", "point_to_holdings", KEYS, "accounts_pkey"),
        ("sending/due_by_time", "overdue", LATEST | UNTIL, "notices_open"),
    ],
)
def test_the_accounts_concerned_are_looked_up_by_index(
    filled: psycopg.Connection, file: str, query: str, parameters: dict[str, Any], index: str
) -> None:
    """No table of accounts, notices or collections is read from end to end."""
    text = COMPOSED.get(query) or SQL(named(file)[query])
    explained = filled.execute(SQL("EXPLAIN (FORMAT JSON) ") + text, parameters).fetchone()
    assert explained is not None
    found = list(nodes(explained[0][0]["Plan"]))
    scanned = {
        node["Relation Name"]
        for node in found
        if node["Node Type"] == "Seq Scan"
        and node["Relation Name"] not in {"attempts", "followers"}
    }
    assert scanned <= {"holdings", "bounced_addresses", "collection_erasures"}, explained
    used = {node.get("Index Name", "") for node in found}
    assert any(name.startswith(index) for name in used), used
