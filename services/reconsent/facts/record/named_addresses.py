"""Which addresses accounts named, since when, and when they were verified. RULES 15.

An account event whose `email_verified_at` is later than a mark lifts it, if the account had named
the address by then: what an account verified before does not verify an address that it takes later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reconsent.facts.record.marks import touch_having
from reconsent.store.named import named
from reconsent.store.rows import values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from reconsent.store.postgres import Connection

SQL = named("record/named_addresses")


class Naming(NamedTuple):
    """An account names an address as of a time; it was verified at another, if at all."""

    account_key: int
    address_hash: bytes
    at: datetime
    verified_at: datetime | None


class MovedNaming(NamedTuple):
    """A naming counts from `at`, and no longer from `before`; there is another one from then on."""

    account_key: int
    address_hash: bytes
    before: datetime
    at: datetime
    shared: bool


def keep_present_namings(connection: Connection, keys: Collection[int]) -> None:
    """Keep what is known of the addresses that locked accounts have, as that may change."""
    if keys:
        connection.execute(SQL["keep_present"], {"keys": sorted(keys)})


def name_addresses(
    connection: Connection, namings: Iterable[Naming], moved: Sequence[MovedNaming] = ()
) -> None:
    """Keep what locked accounts named; some of it turned out to count from earlier on."""
    once: dict[tuple[int, bytes, datetime], Naming] = {}
    for one in namings:
        known = once.get(one[:3], one)
        verified = [at for at in (known.verified_at, one.verified_at) if at]
        once[one[:3]] = one._replace(verified_at=max(verified, default=None))
    keys = sorted({one.account_key for one in once.values()} | {one.account_key for one in moved})
    if not keys:
        return
    keep_present_namings(connection, keys)
    columns = {
        "account_key": [one.account_key for one in once.values()],
        "address_hash": [one.address_hash for one in once.values()],
        "named_at": [one.at for one in once.values()],
        "verified_at": [one.verified_at for one in once.values()],
    }
    connection.execute(SQL["name"], columns)
    if moved:
        _move(connection, moved)
    connection.execute(SQL["prune"], {"keys": keys})
    connection.execute(SQL["note"], {"keys": keys})


def _move(connection: Connection, moved: Sequence[MovedNaming]) -> None:
    columns = {
        "account_key": [one.account_key for one in moved],
        "address_hash": [one.address_hash for one in moved],
        "before": [one.before for one in moved],
        "at": [one.at for one in moved],
        "shared": [one.shared for one in moved],
    }
    connection.execute(SQL["end_moved"], columns)
    connection.execute(SQL["unverify_moved"], columns)
    # Whatever lifted a mark between the two times is looked for again.
    held = values(connection, SQL["hold_again"], columns)
    if held:
        touch_having(connection, held)


def try_addresses_again(connection: Connection, keys: Collection[int]) -> None:
    """Look again at what did not reach the addresses that locked accounts have just got."""
    if keys:
        connection.execute(SQL["try_again"], {"keys": sorted(keys)})


def addresses_to_forget(connection: Connection, until: Mapping[int, datetime]) -> list[bytes]:
    """Return the hashes of what `forget_named_addresses` is about to forget."""
    return values(connection, SQL["forgotten"], _columns(until))


def forget_named_addresses(connection: Connection, until: Mapping[int, datetime]) -> None:
    """Forget what accounts named up to some times and their deletions, and all that minors did."""
    connection.execute(SQL["forget"], _columns(until))
    connection.execute(SQL["forget_noted"], _columns(until))


def _columns(until: Mapping[int, datetime]) -> dict[str, list[Any]]:
    return {"account_key": list(until), "until": list(until.values())}
