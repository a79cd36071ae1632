"""Statements that run for a few accounts look rows up by index, however many accounts there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL

from reconsent.domain.bucket import BUCKETS
from reconsent.facts.published.state import NOTICES_OF
from reconsent.facts.sending.due_by_time import OVERDUE
from reconsent.store.named import named

SIZE = 60_000
NOW = datetime(2027, 1, 10, tzinfo=UTC)
_FILL = (
    """INSERT INTO policies VALUES ('shop')""",
    """INSERT INTO policy_versions (version_id, policy, version, document, content_hash)
       SELECT n, 'shop', n, '{}', '' FROM generate_series(1, 2) AS n""",
    """INSERT INTO properties (property, policy) VALUES ('shop.example', 'shop')""",
    """INSERT INTO releases (version_id, state)
       SELECT version_id, 'done' FROM policy_versions""",
    """INSERT INTO asks (ask_id, members, digest)
       SELECT set_id(members), members, sha256('ask')
       FROM (VALUES (jsonb '[["user", null, "marketing", "acme"]]')) AS made (members)""",
    """INSERT INTO accounts (bucket, account_key, property, account, email, address_hash,
                             updated_at)
       SELECT bucket, n << 6 | bucket, 'shop.example', n, n || '@example.org',
              sha256(n::text::bytea), now()
       FROM generate_series(1, %(size)s::bigint) AS n
       CROSS JOIN LATERAL bucket_of_name('shop.example', n::text) AS bucket""",
    """INSERT INTO account_sets (bucket, account_key) SELECT bucket, account_key FROM accounts""",
    # As if a transaction of its own had changed each of them.
    """INSERT INTO changes (bucket, changed, account_key, stream)
       SELECT bucket, (account_key >> 6)::text::xid8, account_key, stream
       FROM accounts, unnest(ARRAY['accounts', 'notices']) AS stream""",
    # Far on in a stream, with many changes before and after.
    """UPDATE followers SET changed = '30000'""",
    """INSERT INTO collections (bucket, account_key, data_category, collected_under, collected_at,
                                source)
       SELECT bucket, account_key, category, '1', now(), 'person'
       FROM accounts, unnest(ARRAY['user.contact.email', 'user.payment']) AS category""",
    """INSERT INTO attempts (attempt_id, provider, lease, members, payload_hash, ended_at)
       VALUES (1, 'tests', 1, 1, '', now())""",
    """INSERT INTO renderings
       SELECT 'r', max(version_id), max(ask_id) FILTER (WHERE ask_id <> 0),
              'shop.example', 'en', 'choice', '{}'
       FROM policy_versions, asks""",
    """INSERT INTO notices (bucket, account_key, version_id, sequence, notice_id, kind, state,
                            ask_id, attempt_id, rendering, address_hash, accepted_at, dead)
       SELECT bucket, account_key, version_id, 1,
              notice_id(published, stem, mask, account_key, property, account, 1), 'choice',
              CASE WHEN n %% 2 = 0 THEN 'due' ELSE 'accepted' END,
              (SELECT ask_id FROM asks WHERE ask_id <> 0), attempt_id, 'r', address_hash,
              CASE WHEN n %% 2 = 1
                   THEN timestamptz '2027-01-01' + n * interval '1 minute' END,
              n %% 1001 = 1
       FROM accounts CROSS JOIN LATERAL (SELECT account_key >> 6) AS numbered (n)
       CROSS JOIN notice_stems CROSS JOIN attempts
       WHERE n %% 2 = 1 OR n %% 1001 <> 1""",
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


KEYS = {"keys": list(range(1000 * BUCKETS, 1020 * BUCKETS, BUCKETS))}
PRUNED = {"stream": "accounts", "buckets": [7], "transactions": ["20"], "account_keys": [0]}
NAMED = {"properties": ["shop.example"] * 20, "accounts": [str(n) for n in range(1000, 1020)]}
LATEST = {"version_id": 2, "versions": [2], "latest": [2]}
FOLLOWED = {"follower": "planner", "stream": "accounts", "limit": 10}
WHO = {"property": "shop.example", "account": "17", "at": None, "account_key": 17 * BUCKETS}
COMPOSED = {"notices_of": NOTICES_OF, "overdue": OVERDUE}
UNTIL = {"until": NOW, "limit": 1000, "accepted_until": NOW, "now": NOW, "reminded": [0, 1]}


@pytest.mark.parametrize(
    ("file", "query", "parameters", "index"),
    [
        ("changes", "changes_after", FOLLOWED, "changes_in_order"),
        ("changes", "is_behind", FOLLOWED | {"by": 0}, "changes_in_order"),
        ("changes", "read_by_all", FOLLOWED, "changes_in_order"),
        ("changes", "prune", PRUNED, "changes_in_order"),
        ("ledgers", "first_collected", KEYS, "collections_bucket"),
        ("published/state", "notices_of", KEYS | LATEST, "notices_pkey"),
        ("read/account_story", "account", WHO, "accounts_property_account"),
        ("read/account_story", "holds", WHO, "collections_bucket"),
        ("record/accounts", "ensure", NAMED, "accounts_property_account"),
        ("record/accounts", "find", NAMED, "accounts_property_account"),
        ("record/forgetting", "close_notices", KEYS | LATEST, "notices_pkey"),
        ("record/forgetting", "hashes_of_accepted", UNTIL, "notices_hashes_of_deleted"),
        ("record/forgetting", "hashes_of_others", UNTIL, "notices_hashes_of_unaccepted"),
        ("record/forgetting", "forget_outcomes", KEYS, "notices_pkey"),
        ("record/standings", "make_holdings", KEYS, "collections_bucket"),
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
        and node["Relation Name"] not in {"attempts", "buckets", "followers"}
    }
    assert scanned <= {"holdings", "mailbox_marks", "collection_erasures"}, explained
    used = {node.get("Index Name", "") for node in found}
    assert any(name.startswith(index) for name in used), used
