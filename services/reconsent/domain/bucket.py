"""Buckets: where an account's rows lie. DESIGN, "Words"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BUCKETS: Final = 64


def bucket_of(account_key: int) -> int:
    """Return the bucket of an account; its key ends with it."""
    return account_key % BUCKETS


def bucket_of_hash(address_hash: bytes) -> int:
    """Return the bucket of a mailbox."""
    return address_hash[0] % BUCKETS


def by_bucket(account_keys: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
    """Yield the buckets of accounts in order, each with its distinct keys in order.

    Rows are locked bucket by bucket. All who lock several accounts do so in this order.
    """
    found: dict[int, set[int]] = {}
    for key in account_keys:
        found.setdefault(bucket_of(key), set()).add(key)
    for bucket, keys in sorted(found.items()):
        yield bucket, sorted(keys)
