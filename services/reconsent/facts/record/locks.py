"""Locking accounts about which something else than an account event is recorded, and mailboxes.

What speaks against a mailbox looks for what is known to speak for it, and what speaks for it looks
for marks. Neither sees what the other has not committed yet, so the one locks out the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.domain.bucket import BUCKETS, bucket_of_hash, by_bucket
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import LiteralString

    from reconsent.store.postgres import Connection

SQL = named("record/locks")


def lock_keys(connection: Connection, keys: Iterable[int]) -> None:
    """Lock known accounts until the transaction ends."""
    buckets = [{"bucket": bucket, "keys": of_bucket} for bucket, of_bucket in by_bucket(keys)]
    with connection.cursor() as cursor:
        # All statements are sent at once.
        cursor.executemany(SQL["accounts"], buckets)


def lock_mailboxes_shared(connection: Connection, address_hashes: Iterable[bytes]) -> None:
    """Keep others from speaking against mailboxes for which the transaction speaks."""
    _lock_mailboxes(connection, SQL["mailboxes_shared"], address_hashes)


def lock_mailboxes_exclusive(connection: Connection, address_hashes: Iterable[bytes]) -> None:
    """Keep others from speaking for or against mailboxes against which the transaction speaks."""
    _lock_mailboxes(connection, SQL["mailboxes_exclusive"], address_hashes)


def lock_all_mailboxes_exclusive(connection: Connection) -> None:
    """Keep others from speaking for or against any mailbox.

    For transactions that would lock mailboxes several times: two that hold a shared lock and want
    it alone wait for each other.
    """
    _lock_buckets(connection, SQL["mailboxes_exclusive"], range(BUCKETS))


def lock_mailbox_buckets_shared(connection: Connection, buckets: Sequence[int]) -> None:
    """Keep others from speaking against mailboxes in some buckets, which are in ascending order."""
    _lock_buckets(connection, SQL["mailboxes_shared"], buckets)


def _lock_mailboxes(
    connection: Connection, query: LiteralString, address_hashes: Iterable[bytes]
) -> None:
    buckets = {bucket_of_hash(address_hash) for address_hash in address_hashes}
    _lock_buckets(connection, query, sorted(buckets))


def _lock_buckets(connection: Connection, query: LiteralString, buckets: Sequence[int]) -> None:
    if buckets:
        with connection.cursor() as cursor:
            cursor.executemany(query, [{"bucket": bucket} for bucket in buckets])
