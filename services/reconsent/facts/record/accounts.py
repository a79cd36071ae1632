"""Recording account events. RULES 27, 28."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.domain.account import AccountName, Contact, Profile, Status
from reconsent.domain.account_statements import Statements
from reconsent.domain.bucket import by_bucket
from reconsent.domain.event_rows import account_rows
from reconsent.domain.recorded import Counts
from reconsent.facts.record.account_paths import (
    Path,
    begin,
    erase_late,
    keep_addresses,
    name_of,
    step,
    write_statements,
)
from reconsent.facts.record.account_statements import Kept, read_statements
from reconsent.facts.record.forgetting import (
    Forgotten,
    Using,
    forget_deleted,
    forget_minors,
)
from reconsent.facts.record.marks import lift_by_what_is_known
from reconsent.facts.record.named_addresses import keep_present_namings
from reconsent.facts.record.new_accounts import Changed, added_and_changed
from reconsent.facts.record.new_accounts import changed as compared
from reconsent.facts.record.standings import refresh_holdings
from reconsent.store.copying import copy_in
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from reconsent.domain.event import AccountEvent
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("record/accounts")
_STAGED: Final = (
    "int8", "text", "text", "text", "text", "bool", "text", "text", "text", "text", "timestamptz",
    "timestamptz", "bytea", "timestamptz",
)  # fmt: skip


class Known(NamedTuple):
    """A locked account, and the time that it states, if it counts from an earlier one."""

    key: int
    profile: Profile
    stated_at: datetime | None


class _Row(NamedTuple):
    """An account as it is stored."""

    account_key: int
    property: str
    account: str
    status: Status
    contact: Contact
    minor: bool
    email: str | None
    name: str | None
    locale: str | None
    time_zone: str | None
    updated_at: datetime | None
    deleted_at: datetime | None
    stated_at: datetime | None


class _Added(NamedTuple):
    account_key: int
    property: str
    account: str


def lock_accounts(
    connection: Connection, names: Iterable[tuple[str, str]]
) -> dict[AccountName, Known]:
    """Lock accounts until the transaction ends, adding stubs for unknown ones."""
    distinct = sorted(set(names))
    named_accounts = {
        "properties": [name[0] for name in distinct],
        "accounts": [name[1] for name in distinct],
    }
    connection.execute(SQL["ensure"], named_accounts)
    return _locked(connection, values(connection, SQL["find"], named_accounts))


def _locked(connection: Connection, keys: Iterable[int]) -> dict[AccountName, Known]:
    """Lock accounts until the transaction ends, and read their profiles."""
    return _known(
        row
        for bucket, of_bucket in by_bucket(keys)
        for row in all_rows(connection, _Row, SQL["lock"], {"bucket": bucket, "keys": of_bucket})
    )


def _known(rows: Iterable[_Row]) -> dict[AccountName, Known]:
    return {
        AccountName(row.property, row.account): Known(row.account_key, _profile(row), row.stated_at)
        for row in rows
    }


def _profile(row: _Row) -> Profile:
    return Profile(
        status=row.status,
        contact=row.contact,
        minor=row.minor,
        email=row.email,
        name=row.name,
        locale=row.locale,
        time_zone=row.time_zone,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
    )


def record_accounts(
    connection: Connection,
    events: Sequence[AccountEvent],
    policies: Policies,
    address_hash: Callable[[str], bytes],
) -> Counts:
    """Record account events in order; the data of deleted accounts is erased at once."""
    rows = account_rows(
        [(position, event, event.email) for position, event in enumerate(events)], address_hash
    )
    return record_account_rows(connection, rows, policies, address_hash)


def record_account_rows(
    connection: Connection,
    rows: bytes,
    policies: Policies,
    address_hash: Callable[[str], bytes],
) -> Counts:
    """Record account events that are written as rows."""
    new, changed = added_and_changed(connection, rows)
    while changed:
        paths, counted = _paths(connection, changed)
        moved = [path.key for path in paths.values() if path.key is not None and path.moved]
        keep_present_namings(connection, moved)
        written = _write(connection, paths, address_hash)
        recorded = [event for event in counted if name_of(event) in written]
        write_statements(connection, written)
        keep_addresses(connection, recorded, written, address_hash)
        _after(connection, written, Using(policies, address_hash))
        # What was named before a deletion in the same batch lifts nothing.
        if mailboxes := {event.address_hash for event in recorded if event.address_hash}:
            lift_by_what_is_known(connection, mailboxes)
        erase_late(connection, recorded, written, address_hash)
        new += sum(len(path.profiles) - 1 for path in written.values())
        # Another transaction has just added these accounts; now they are known.
        left = {event.position for event in changed if name_of(event) not in written}
        again = compared(connection) if left else []
        changed = [event for event in again if event.position in left]
    return Counts(new=new, unchanged=rows.count(b"\n") - new)


def _paths(
    connection: Connection, changed: Sequence[Changed]
) -> tuple[dict[AccountName, Path], list[Changed]]:
    """Lock the known accounts, and apply the events to all; return these as they count, too."""
    keys = (event.account_key for event in changed if event.account_key is not None)
    known = _locked(connection, keys)
    statements = read_statements(
        connection, {one.key: Kept(one.profile, one.stated_at) for one in known.values()}
    )
    paths = {name: begin(one.key, statements[one.key]) for name, one in known.items()}
    counted = []
    for event in changed:
        name = name_of(event)
        if name not in paths:
            paths[name] = begin(None, Statements())
        counted.append(step(paths[name], event))
    return paths, counted


def _write(
    connection: Connection,
    paths: Mapping[AccountName, Path],
    address_hash: Callable[[str], bytes],
) -> dict[AccountName, Path]:
    """Write the changed profiles; leave out accounts that another transaction has just added."""
    changed = {name: path for name, path in paths.items() if len(path.profiles) > 1}
    if not changed:
        return dict(paths)
    connection.execute(SQL["make_staged"])
    copy_in(connection, SQL["copy_staged"], _STAGED, _rows(changed, address_hash))
    added = {
        AccountName(row.property, row.account): row.account_key
        for row in all_rows(connection, _Added, SQL["add_profiles"])
    }
    connection.execute(SQL["write_profiles"])
    connection.execute(SQL["clear_staged"])
    return {
        name: path if path.key is not None else path._replace(key=added[name])
        for name, path in paths.items()
        if path.key is not None or name in added
    }


def _rows(
    changed: Mapping[AccountName, Path], address_hash: Callable[[str], bytes]
) -> Iterator[tuple[Any, ...]]:
    for (property_name, account), path in changed.items():
        now = path.now
        yield (
            path.key, property_name, account, now.status, now.contact, now.minor, now.email,
            now.name, now.locale, now.time_zone, now.updated_at, now.deleted_at,
            address_hash(now.email) if now.email else None, path.statements.stated_at,
        )  # fmt: skip


def _after(connection: Connection, written: Mapping[AccountName, Path], using: Using) -> None:
    """Forget the data of deleted accounts and minors; refresh what returned accounts hold."""
    deleted = [
        Forgotten(path.key, name, path.now.deleted_at)
        for name, path in written.items()
        if path.key is not None
        and path.now.deleted_at
        and (
            path.before.deleted_at is None
            or path.now.deleted_at > path.before.deleted_at
            # What was said after it counts from before it.
            or (path.now.status == "deleted" and path.before.status != "deleted")
        )
    ]
    forget_deleted(connection, deleted, using)
    minors = [
        (Forgotten(path.key, name, at), path)
        for name, path in written.items()
        if path.key is not None and (at := path.minor_at)
    ]
    new = [minor for minor, path in minors if not (path.before.minor and path.now.minor)]
    forget_minors(connection, [minor for minor, _ in minors], using, new=new)
    gone = {account.key for account in deleted}
    returned = [
        path.key
        for path in written.values()
        if path.key is not None
        and path.key not in gone
        # A deletion may count from earlier on than was known.
        and (path.now.status, path.now.deleted_at) != (path.before.status, path.before.deleted_at)
    ]
    refresh_holdings(connection, returned, using.policies)
