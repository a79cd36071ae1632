"""Which accounts notices are of, told by their ids.

Whatever names a notice by its id alone (a link, a provider's report, a command) comes through here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from reconsent.domain.bucket import bucket_of, by_bucket
from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconsent.store.postgres import Connection

SQL = named("notice_ids")


class _Owned(NamedTuple):
    notice_id: UUID
    account_key: int


def accounts_of(connection: Connection, notice_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Return the keys of the accounts that notices would be of; there may be no such notices.

    Any UUID of version 8 yields a key: compare the notice's id when you read it.
    """
    wanted = {"notice_ids": list(notice_ids)}
    rows = all_rows(connection, _Owned, SQL["accounts_of"], wanted)
    return {row.notice_id: row.account_key for row in rows}


def as_columns(owners: Mapping[UUID, int]) -> dict[str, list[Any]]:
    """Return notices and the accounts that they are of, as queries take them."""
    return {"account_key": list(owners.values()), "notice_id": list(owners)}


def in_buckets(owners: Mapping[UUID, int]) -> Iterator[dict[str, Any]]:
    """Yield notices bucket by bucket, as queries that lock them take them."""
    notices: dict[int, list[UUID]] = {}
    for notice_id, key in owners.items():
        notices.setdefault(bucket_of(key), []).append(notice_id)
    for bucket, keys in by_bucket(owners.values()):
        yield {"bucket": bucket, "keys": keys, "notice_ids": notices[bucket]}


def account_of(connection: Connection, notice_id: UUID) -> int | None:
    """Return the key of the account that a notice would be of; None for a random UUID."""
    return accounts_of(connection, [notice_id]).get(notice_id)
