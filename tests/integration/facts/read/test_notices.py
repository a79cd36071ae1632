"""Listing notices: their order, and continuing a list."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from reconsent.domain.errors import BadInputError
from reconsent.facts.read.notices import Filters, list_notices
from reconsent.facts.record.publishing import publish
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Database
from tests.drafts import draft
from tests.filled import add_accounts

_PROPERTIES = ("B.example", "a.example", "é.example")
_ACCOUNTS = ("", "B", "a", "a b", "b", "é", "𝄞")
_FILL = """
SELECT property, account, account || '@example.org', NULL, NULL
FROM unnest(%(properties)s::text[]) AS property, unnest(%(accounts)s::text[]) AS account
ORDER BY random()
"""
_PLAN = """
INSERT INTO notices (bucket, account_key, version_id, sequence, notice_id, kind, state, suppression,
                     ask_id)
SELECT bucket, account_key, version_id, sequence,
       notice_id(published, stem, mask, account_key, property, account, sequence), 'information',
       state,
       CASE WHEN state = 'suppressed' THEN 'no_address' END, 0
FROM accounts JOIN properties USING (property) JOIN policy_versions USING (policy)
JOIN notice_stems USING (version_id),
     (VALUES (1, 'superseded'), (2, 'suppressed')) AS notices (sequence, state)
"""


@pytest.fixture(name="filled")
def _filled(database: Database) -> Database:
    """Return a database with notices of two policies, two versions each, and three properties."""
    with database.connection() as connection:
        for policy, properties in (("one", _PROPERTIES[:1]), ("other", _PROPERTIES[1:])):
            for version, follows in (("v1", None), ("v2", "v1")):
                made = draft(
                    policy=policy, version=version, follows=follows, properties=list(properties)
                )
                publish(connection, made, PublishedVersions())
        names = {"properties": list(_PROPERTIES), "accounts": list(_ACCOUNTS)}
        add_accounts(connection, _FILL, names)
        connection.execute(_PLAN)
    return database


def listed(database: Database, **filters: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401
    """List notices with their ids."""
    names = ("property", "account", "policy_version", "sequence", "notice")
    with database.one_moment() as connection:
        policies = PublishedVersions().now(connection)
        found = list_notices(connection, Cohorts(), policies, Filters(**filters))
        return [tuple(notice[name] for name in names) for notice in found]


def test_names_are_in_the_order_of_their_code_points(filled: Database) -> None:
    """The order is the same on every database, whatever its locale, and has no gaps."""
    assert [notice[:-1] for notice in listed(filled)] == [
        (name, account, version, sequence)
        for name in _PROPERTIES
        for account in _ACCOUNTS
        for version in ("v1", "v2")
        for sequence in (1, 2)
    ]


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"property": "a.example"},
        {"account": "a b"},
        {"policy_version": "v2"},
        {"state": "suppressed"},
        {"state": "superseded"},
        {"not_told": True},
    ],
)
def test_a_list_continues_after_any_notice(filled: Database, filters: dict[str, Any]) -> None:
    """What comes after a notice is the rest of the list, whether the notice passes the filters."""
    everything, wanted = listed(filled), listed(filled, **filters)
    assert wanted
    passed = set(wanted)
    for position, notice in enumerate(everything[::5]):
        rest = everything[position * 5 + 1 :]
        after = listed(filled, after=UUID(notice[-1]), **filters)
        assert after == [one for one in rest if one in passed]


def test_nothing_continues_after_an_unknown_notice(filled: Database) -> None:
    """The error names the option and the id."""
    unknown = uuid4()
    with pytest.raises(BadInputError, match=f"--after: there is no notice {unknown}"):
        listed(filled, after=unknown)
