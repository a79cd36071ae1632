"""Locking accounts about which something else than an account event is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.domain.bucket import by_bucket
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconsent.store.postgres import Connection

SQL = named("record/locks")


def lock_keys(connection: Connection, keys: Iterable[int]) -> None:
    """Lock known accounts until the transaction ends."""
    buckets = [{"bucket": bucket, "keys": of_bucket} for bucket, of_bucket in by_bucket(keys)]
    with connection.cursor() as cursor:
        # All statements are sent at once.
        cursor.executemany(SQL["accounts"], buckets)
