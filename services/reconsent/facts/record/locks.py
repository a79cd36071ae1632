"""Locking accounts about which something else than an account event is recorded, and mailboxes.

What speaks against a mailbox (a bounce, an unsubscribe that names it) looks for what is known to
speak for it, and for who has it. What speaks for it, or names it, looks for marks and unsubscribes.
Neither sees what the other has not committed yet, so the one locks out the other.
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
    lock_mailbox_buckets_shared(connection, _buckets_of(address_hashes))


def lock_mailbox_buckets_shared(connection: Connection, buckets: Sequence[int]) -> None:
    """Keep others from speaking against mailboxes in some buckets, which are in ascending order."""
    if buckets:
        # What is locked in a transaction within is unlocked at its end.
        with connection.transaction(force_rollback=True):
            connection.execute(SQL["pass_queue"])
        _lock_buckets(connection, SQL["mailboxes_shared"], buckets)


def lock_mailboxes_exclusive(connection: Connection, address_hashes: Iterable[bytes]) -> None:
    """Keep others from speaking for or against mailboxes against which the transaction speaks."""
    _lock_exclusive(connection, _buckets_of(address_hashes))


def lock_all_mailboxes_exclusive(connection: Connection) -> None:
    """Keep others from speaking for or against any mailbox.

    For transactions that would lock mailboxes several times: two that hold a shared lock and want
    it alone wait for each other.
    """
    _lock_exclusive(connection, range(BUCKETS))


def _lock_exclusive(connection: Connection, buckets: Sequence[int]) -> None:
    if buckets:
        connection.execute(SQL["hold_queue"])
        _lock_buckets(connection, SQL["mailboxes_exclusive"], buckets)


def _buckets_of(address_hashes: Iterable[bytes]) -> list[int]:
    return sorted({bucket_of_hash(address_hash) for address_hash in address_hashes})


def _lock_buckets(connection: Connection, query: LiteralString, buckets: Sequence[int]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(query, [{"bucket": bucket} for bucket in buckets])
    connection.execute(SQL["note_locked"])
