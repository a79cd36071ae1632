"""Accounts written straight into the tables: as many as a test needs, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg.sql import SQL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconsent.store.postgres import Connection

KEPT_WHEN_EMPTIED: Final = {
    # Sets never change, so another world may find them; the bus keeps its offsets.
    "holdings", "standings", "asks", "told_sets", "consumer_offsets", "bus_partitions",
    # Migrations fill these.
    "buckets", "clusters", "followers", "leases", "mailbox_queue", "migrations", "notice_salt",
}  # fmt: skip
"""The tables that a database keeps when it is emptied for another world."""

_ACCOUNTS: Final = SQL("""
WITH added AS (
    INSERT INTO accounts (bucket, account_key, property, account, email, name, locale,
                          address_hash, updated_at)
    SELECT bucket, nextval('account_numbers') << 6 | bucket, new.property, new.account, new.email,
           new.name, new.locale, sha256(convert_to(new.email, 'UTF8')), now() - interval '1 day'
    FROM ({select}) AS new (property, account, email, name, locale)
    CROSS JOIN LATERAL bucket_of_name(new.property, new.account) AS bucket
    RETURNING bucket, account_key
)
INSERT INTO account_sets (bucket, account_key) SELECT bucket, account_key FROM added
RETURNING account_key
""")
_DATA: Final = """
INSERT INTO collections (bucket, account_key, data_category, collected_under, collected_at, source)
SELECT bucket, account_key, %(data_category)s, %(collected_under)s, now() - interval '1 day',
       'person'
FROM accounts WHERE (account_key >> 6) %% %(every)s = 0
"""


def add_accounts(
    connection: Connection, select: LiteralString, parameters: Mapping[str, Any] | None = None
) -> list[int]:
    """Add accounts and return their keys.

    `select` gives property, account, email, name and locale of each.
    """
    query = _ACCOUNTS.format(select=SQL(select))
    return [key for (key,) in connection.execute(query, parameters)]


def give_data(
    connection: Connection,
    data_category: str = "user.contact.email",
    collected_under: str = "v1",
    *,
    every: int = 1,
) -> None:
    """Note of all accounts, or of one in `every`, that data of a category was collected."""
    wanted = {"data_category": data_category, "collected_under": collected_under, "every": every}
    connection.execute(_DATA, wanted)
