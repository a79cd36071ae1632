"""The facts in a database, in a form that can be compared."""

from __future__ import annotations

import psycopg

_FACTS = (
    "SELECT policy, version, document::jsonb FROM policy_versions ORDER BY 1, 2",
    (
        "SELECT property, account, status, contact, minor, email, name, updated_at FROM accounts"
        " ORDER BY property, account"
    ),
    # What a deletion covers is history, and the embedded bus may erase it before it is read.
    (
        "SELECT property, account, data_category, collected_under, collected_at, source"
        " FROM held_collections JOIN accounts USING (bucket, account_key) ORDER BY 1, 2, 3, 4, 5"
    ),
    (
        "SELECT property, account, data_category, collected_under, erased_at"
        " FROM collection_erasures JOIN accounts USING (bucket, account_key)"
        " WHERE deleted_at IS NULL OR erased_at > deleted_at ORDER BY 1, 2, 3, 4, 5"
    ),
    (
        "SELECT property, account, holdings.members, standings.members FROM accounts"
        " JOIN account_sets USING (bucket, account_key) JOIN holdings USING (holdings_id)"
        " JOIN standings USING (standing_id) ORDER BY 1, 2"
    ),
    "SELECT topic, key, value FROM bus_messages WHERE topic LIKE '%.dead' ORDER BY 1, 2, 3",
)
Facts = list[list[tuple[object, ...]]]


def facts(conninfo: str) -> Facts:
    """Read versions, accounts, collections, decisions and dead letters."""
    with psycopg.connect(conninfo) as connection:
        return [connection.execute(query).fetchall() for query in _FACTS]
