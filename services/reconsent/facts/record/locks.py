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
    for bucket, of_bucket in by_bucket(keys):
        connection.execute(SQL["accounts"], {"bucket": bucket, "keys": of_bucket})
