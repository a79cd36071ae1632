"""Hashing addresses anew, in their postal form, in a database of an earlier release. RULES 15.

It is done before anything else works: until then an account has its earlier hash, with the marks of
that. The earlier hashes keep their marks: one of them may be that of two mailboxes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.address import UnusableAddressError, usable_address
from reconsent.facts.record.locks import lock_all_mailboxes_exclusive
from reconsent.facts.record.marks import touch_having
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconsent.store.postgres import Connection, Database

SQL = named("record/address_hashes")
_SLICE: Final = 500


class _Stale(NamedTuple):
    account_key: int
    email: str
    address_hash: bytes


class _Hashed(NamedTuple):
    """An account with its address as it is kept now, and its earlier and its present hash."""

    account_key: int
    email: str
    stale: bytes
    postal: bytes
    same_mailbox: bool


def rehash_addresses(database: Database, address_hash: Callable[[str], bytes]) -> None:
    """Hash every address anew that was hashed in another form. Safe to interrupt, and to repeat."""
    while database.transaction(lambda connection: _rehash_some(connection, address_hash)):
        pass


def _rehash_some(connection: Connection, address_hash: Callable[[str], bytes]) -> bool:
    """Hash some addresses of one bucket; False if none is left."""
    for bucket in values(connection, SQL["stale_bucket"]):
        # Mailboxes get marks under other hashes. They are locked before accounts, everywhere.
        lock_all_mailboxes_exclusive(connection)
        some = {"bucket": bucket, "limit": _SLICE}
        hashed = [
            _hashed(account, address_hash)
            for account in all_rows(connection, _Stale, SQL["lock"], some)
        ]
        _write(connection, bucket, [one for one in hashed if one.postal != one.stale])
        keys = [one.account_key for one in hashed]
        connection.execute(SQL["end"], {"bucket": bucket, "keys": keys})
        return True
    return False


def _hashed(account: _Stale, address_hash: Callable[[str], bytes]) -> _Hashed:
    try:
        email = usable_address(account.email)
    except UnusableAddressError:
        email = account.email
    return _Hashed(
        account_key=account.account_key,
        email=email,
        stale=account.address_hash,
        postal=address_hash(email),
        # Nothing could be sent to an address with invisible characters: its mark says nothing.
        same_mailbox=email == account.email,
    )


def _write(connection: Connection, bucket: int, hashed: list[_Hashed]) -> None:
    if not hashed:
        return
    same = [one for one in hashed if one.same_mailbox]
    moved = {
        "bucket": bucket,
        "keys": [one.account_key for one in same],
        "stale": [one.stale for one in same],
        "postal": [one.postal for one in same],
    }
    marked = values(connection, SQL["copy_marks"], moved)
    connection.execute(SQL["write_notices"], moved)
    written = {
        "bucket": bucket,
        "keys": [one.account_key for one in hashed],
        "emails": [one.email for one in hashed],
        "postal": [one.postal for one in hashed],
    }
    connection.execute(SQL["write_accounts"], written)
    # Others may have had the postal address already.
    touch_having(connection, set(marked))
