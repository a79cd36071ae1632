"""Recording account events. RULES 27, 28."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from reconsent.adapters.bus_postgres import erase, hide
from reconsent.domain.account import Profile, told
from reconsent.facts.decisions import refresh_holdings
from reconsent.queries import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from reconsent.adapters.postgres import Connection
    from reconsent.domain.event import AccountEvent
    from reconsent.facts.versions import Policies

SQL = named("accounts")
COLLECTIONS = named("collections")
_COLUMNS = (
    "account_key", "status", "contact", "minor", "email", "name", "locale", "time_zone",
    "address_hash", "updated_at", "deleted_at",
)  # fmt: skip


class AccountName(NamedTuple):
    """How the outside names an account."""

    property: str
    account: str


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many events told something new; the rest is refused, by position and reason."""

    new: int = 0
    unchanged: int = 0
    refused: tuple[tuple[int, str], ...] = ()


class Known(NamedTuple):
    """A locked account."""

    key: int
    profile: Profile


def lock_accounts(
    connection: Connection, names: Iterable[tuple[str, str]]
) -> dict[AccountName, Known]:
    """Lock accounts until the transaction ends, making stubs of those not seen yet."""
    distinct = sorted(set(names))
    named_accounts = {
        "properties": [name[0] for name in distinct],
        "accounts": [name[1] for name in distinct],
    }
    connection.execute(SQL["ensure"], named_accounts)
    return {
        AccountName(row[1], row[2]): Known(
            row[0],
            Profile(
                status=row[3],
                contact=row[4],
                minor=row[5],
                email=row[6],
                name=row[7],
                locale=row[8],
                time_zone=row[9],
                updated_at=row[10],
                deleted_at=row[11],
            ),
        )
        for row in connection.execute(SQL["lock"], named_accounts)
    }


def record_accounts(
    connection: Connection,
    events: Sequence[AccountEvent],
    policies: Policies,
    address_hash: Callable[[str], bytes],
) -> Counts:
    """Record account events in their order; what is deleted is erased at once."""
    known = lock_accounts(connection, ((event.property, event.account) for event in events))
    now = {name: account.profile for name, account in known.items()}
    steps: list[tuple[int, Profile]] = []
    new = 0
    for event in events:
        name = AccountName(event.property, event.account)
        before, after = now[name], told(now[name], event.profile)
        if after == before:
            continue
        new += 1
        now[name] = after
        if _state(after) != _state(before) or before.updated_at is None:
            steps.append((known[name].key, after))
    changed = {name: now[name] for name in known if now[name] != known[name].profile}
    if changed:
        _write(connection, known, changed, address_hash)
        _write_history(connection, steps)
        _after(connection, known, changed, policies)
    _clear_bus(connection, events, now)
    return Counts(new=new, unchanged=len(events) - new)


def _clear_bus(
    connection: Connection, events: Sequence[AccountEvent], now: Mapping[AccountName, Profile]
) -> None:
    """Erase what comes after a deletion but is dated before it, and minors' names and addresses."""
    deleted: dict[AccountName, datetime] = {}
    minors: dict[bytes, datetime] = {}
    for event in events:
        name = AccountName(event.property, event.account)
        profile = now[name]
        at = profile.deleted_at
        if at and event.updated_at <= at and _is_personal(event):
            deleted[name] = at
        if profile.minor and profile.updated_at:
            minors[_bus_key(name)] = profile.updated_at
    erase_from_bus(connection, deleted)
    if minors:
        hide(connection, minors)


def _is_personal(event: AccountEvent) -> bool:
    """Tell whether an event says more than that an account was deleted."""
    return event.status != "deleted" or bool(event.given_email or event.name)


def erase_from_bus(connection: Connection, until: Mapping[AccountName, datetime]) -> None:
    """Erase from the embedded bus what it says of accounts up to their deletions. RULES 28."""
    if until:
        erase(connection, {_bus_key(name): at for name, at in until.items()})


def _bus_key(name: AccountName) -> bytes:
    return f"{name.property}/{name.account}".encode()


def _state(profile: Profile) -> tuple[str, str, bool]:
    return profile.status, profile.contact, profile.minor


def _write(
    connection: Connection,
    known: Mapping[AccountName, Known],
    changed: Mapping[AccountName, Profile],
    address_hash: Callable[[str], bytes],
) -> None:
    rows: list[dict[str, Any]] = [
        vars(profile)
        | {
            "account_key": known[name].key,
            "address_hash": address_hash(profile.email) if profile.email else None,
        }
        for name, profile in changed.items()
    ]
    columns = {column: [row[column] for row in rows] for column in _COLUMNS}
    connection.execute(SQL["write_profiles"], columns)


def _write_history(connection: Connection, steps: Sequence[tuple[int, Profile]]) -> None:
    connection.execute(
        SQL["write_history"],
        {
            "account_key": [key for key, _ in steps],
            "since": [profile.updated_at for _, profile in steps],
            "status": [profile.status for _, profile in steps],
            "contact": [profile.contact for _, profile in steps],
            "minor": [profile.minor for _, profile in steps],
        },
    )


def _after(
    connection: Connection,
    known: Mapping[AccountName, Known],
    changed: Mapping[AccountName, Profile],
    policies: Policies,
) -> None:
    """Erase what deletions take along, and find anew what returned accounts hold."""
    deleted: dict[AccountName, datetime] = {
        name: profile.deleted_at
        for name, profile in changed.items()
        if profile.deleted_at and profile.deleted_at != known[name].profile.deleted_at
    }
    if deleted:
        keys = {"keys": [known[name].key for name in deleted], "latest": policies.latest_ids}
        for query in ("drop_deleted", "forget_erasures"):
            connection.execute(COLLECTIONS[query], keys)
        for query in ("close_notices", "forget_evidence"):
            connection.execute(SQL[query], keys)
    erase_from_bus(connection, deleted)
    returned = [
        known[name].key
        for name, profile in changed.items()
        if name in deleted or profile.status != known[name].profile.status
    ]
    refresh_holdings(connection, returned, policies)
