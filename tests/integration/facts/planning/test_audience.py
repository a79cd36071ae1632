"""Counting accounts by their sets gives what joining each with its sets gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconsent.facts.planning.audience import SQL, Audience, audience
from reconsent.facts.record.publishing import publish
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Connection, Database, open_database
from reconsent.store.rows import all_rows
from tests.drafts import draft

SITE = "campaigner.example"
_WANTED = {"properties": [SITE], "version_id": 1, "unsent": False}
# Some share a mailbox.
_ADD = """
WITH made AS (
    SELECT n, bucket, n << 6 | bucket AS account_key, property, n::text AS account, status, contact,
           minor, email, sha256((n %% 16)::text::bytea) AS hash, unsubscribed, bounced,
           holdings_id, standing_id
    FROM unnest(%(property)s::text[], %(status)s::text[], %(contact)s::text[], %(minor)s::boolean[],
                %(email)s::boolean[], %(unsubscribed)s::boolean[],
                %(bounced)s::text[], %(holdings_id)s::bigint[], %(standing_id)s::bigint[])
         WITH ORDINALITY
         AS one (property, status, contact, minor, email, unsubscribed, bounced,
                 holdings_id, standing_id, n)
    CROSS JOIN LATERAL bucket_of_name(property, n::text) AS bucket
), marked AS (
    INSERT INTO mailbox_marks (bucket, address_hash, mark, lifted_at, lifted_for)
    SELECT bucket_of_hash(hash), hash,
           CASE bounced WHEN 'complained' THEN 'complained' ELSE 'bounced' END,
           CASE bounced WHEN 'lifted' THEN now() + interval '1 day' END,
           CASE bounced WHEN 'lifted' THEN 'delivered' END
    FROM made WHERE bounced <> ''
    ON CONFLICT DO NOTHING
), added AS (
    INSERT INTO accounts (bucket, account_key, property, account, status, contact, minor, email,
                          address_hash, unsubscribed_at)
    SELECT bucket, account_key, property, account, status, contact, minor,
           CASE WHEN email THEN 'a@example.org' END, CASE WHEN email THEN hash END,
           CASE WHEN unsubscribed THEN now() END
    FROM made
)
INSERT INTO account_sets (bucket, account_key, holdings_id, standing_id)
SELECT bucket, account_key, holdings_id, standing_id FROM made
"""
few = settings(max_examples=max(20, settings().max_examples // 4))


@st.composite
def accounts(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an account that the table may hold."""
    status = draw(st.sampled_from(["active"] * 4 + ["deactivated", "deleted"]))
    minor = draw(st.sampled_from([False] * 4 + [True]))
    seldom = st.sampled_from([False] * 4 + [True])
    return {
        "property": draw(st.sampled_from([SITE] * 3 + ["other.example"])),
        "status": status,
        "contact": draw(st.sampled_from(["all"] * 4 + ["service", "none"])),
        "minor": minor,
        "email": status != "deleted" and not minor and not draw(seldom),
        "unsubscribed": draw(seldom),
        "bounced": draw(st.sampled_from([""] * 4 + ["bounced", "lifted", "complained"])),
        "holdings_id": draw(st.integers(0, 2)),
        "standing_id": draw(st.integers(0, 1)),
    }


@pytest.fixture(scope="module")
def filled(make_database: Callable[[], str]) -> Iterator[Database]:
    """Yield a database with a policy, for all tests of this module."""
    with open_database(make_database()) as database:
        database.transaction(lambda c: publish(c, draft(), PublishedVersions()))
        yield database


def _add(connection: Connection, made: Sequence[dict[str, Any]]) -> None:
    names = made[0] if made else {}
    connection.execute(_ADD, {name: [one[name] for one in made] for name in names})


@few
@given(made=st.lists(accounts(), min_size=1, max_size=40))
def test_counting_by_sets_is_joining(filled: Database, made: Sequence[dict[str, Any]]) -> None:
    """Every reach, with every mark on the mailbox, in several cohorts; others share their sets."""
    with filled.connection() as connection:
        _add(connection, made)
        policies = PublishedVersions().now(connection)
        found = audience(connection, policies, policies.by_name["campaigner"])
        assert sorted(found) == sorted(all_rows(connection, Audience, SQL["by_sets"], _WANTED))
        assert sorted(found) == sorted(all_rows(connection, Audience, SQL["audience"], _WANTED))
        ours = [one for one in made if one["property"] == SITE and one["status"] != "deleted"]
        assert sum(one.accounts for one in found) == len(ours)
        connection.rollback()
