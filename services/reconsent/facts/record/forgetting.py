"""Forgetting: what a deletion erases of an account, and what is kept on purpose. RULES 28.

AT_DELETION, AT_MINORITY, OF_MINORS and LATER run in order. Every table of the database is in one of
them or in KEPT (kept.py). docs/operating.md has the same list for operators.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.account import AccountName
from reconsent.domain.bucket import by_bucket
from reconsent.facts.notice_ids import as_columns
from reconsent.facts.record.bus_messages import (
    erase_messages,
    erase_reports,
    forget_sources,
    hide_messages,
)
from reconsent.facts.record.evidence import forget_evidence
from reconsent.facts.record.mailbox_reports import erase_unowned_addresses
from reconsent.facts.record.named_addresses import addresses_to_forget, forget_named_addresses
from reconsent.facts.record.standings import refresh_holdings
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("record/forgetting")
LATE_BOUNCES: Final = timedelta(days=10)
"""How long after its acceptance a mail can still bounce."""


class Forgotten(NamedTuple):
    """An account that was deleted or belongs to a minor, and since when."""

    key: int
    name: AccountName
    at: datetime


class Using(NamedTuple):
    """What forgetting uses: the policies, and a hash that takes the secret."""

    policies: Policies
    keyed_hash: Callable[[str], bytes]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that is forgotten.

    `run` is None if writing the account's profile already erases it; CHECK constraints reject a
    deleted account that still has it.
    """

    takes: str
    tables: tuple[str, ...]
    run: Callable[[Connection, Sequence[Forgotten], Using], None] | None = None


@dataclass(frozen=True, kw_only=True)
class LaterStep:
    """One thing that is forgotten some time after a deletion; `run` tells whether it found any."""

    takes: str
    tables: tuple[str, ...]
    run: Callable[[Connection, datetime, int], bool]


class _WithHash(NamedTuple):
    """A notice that still has the hash of an address."""

    account_key: int
    notice_id: UUID


# ------------------------------------------------------------------ how each thing is forgotten


def _close_notices(connection: Connection, accounts: Sequence[Forgotten], using: Using) -> None:
    # A statement of its own: closing reads states that nobody can change any more.
    _lock_notices(connection, accounts)
    latest = using.policies.latest_ids
    connection.execute(SQL["close_notices"], {"keys": _keys(accounts), "latest": latest})


def _erase_addresses(connection: Connection, accounts: Sequence[Forgotten], using: Using) -> None:
    mailboxes = addresses_to_forget(connection, {one.key: one.at for one in accounts})
    erase_unowned_addresses(connection, mailboxes, using.keyed_hash)


def _forget_named_addresses(
    connection: Connection, accounts: Sequence[Forgotten], _: Using
) -> None:
    forget_named_addresses(connection, {one.key: one.at for one in accounts})


def _forget_holdings(connection: Connection, accounts: Sequence[Forgotten], using: Using) -> None:
    refresh_holdings(connection, _keys(accounts), using.policies)


def _forget_evidence(connection: Connection, accounts: Sequence[Forgotten], _: Using) -> None:
    forget_evidence(connection, _keys(accounts))


def _forget_reports(connection: Connection, accounts: Sequence[Forgotten], _: Using) -> None:
    _lock_notices(connection, accounts)
    connection.execute(SQL["forget_outcomes"], {"keys": _keys(accounts)})
    connection.execute(SQL["forget_reports"], {"keys": _keys(accounts)})


def _erase_messages(connection: Connection, accounts: Sequence[Forgotten], using: Using) -> None:
    deletions = {account.name: account.at for account in accounts}
    erase_messages(connection, deletions, using.keyed_hash)


def _forget_sources(connection: Connection, accounts: Sequence[Forgotten], _: Using) -> None:
    forget_sources(connection, [account.name for account in accounts])


def _erase_reports(connection: Connection, accounts: Sequence[Forgotten], using: Using) -> None:
    notices = _lock_notices(connection, accounts)
    erase_reports(connection, [str(notice_id) for notice_id in notices], using.keyed_hash)


def _lock_notices(connection: Connection, accounts: Sequence[Forgotten]) -> list[UUID]:
    return [
        notice_id
        for bucket, keys in by_bucket(_keys(accounts))
        for notice_id in values(connection, SQL["lock_notices"], {"bucket": bucket, "keys": keys})
    ]


def _hide_messages(connection: Connection, accounts: Sequence[Forgotten], using: Using) -> None:
    minors = {account.name: account.at for account in accounts}
    hide_messages(connection, minors, using.keyed_hash)


def _forget_address_hashes(connection: Connection, now: datetime, limit: int) -> bool:
    wanted = {"until": now - LATE_BOUNCES, "limit": limit}
    found = [
        notice
        for query in (SQL["hashes_of_accepted"], SQL["hashes_of_others"])
        for notice in all_rows(connection, _WithHash, query, wanted)
    ]
    owners = as_columns({notice.notice_id: notice.account_key for notice in found})
    return bool(found and connection.execute(SQL["forget_hashes"], owners).rowcount)


def _keys(accounts: Sequence[Forgotten]) -> list[int]:
    return sorted({account.key for account in accounts})


# ------------------------------------------------------------------ the lists

# domain.account.merged removes them from the profiles of deleted accounts and of minors.
_PROFILE: Final = Step(
    takes="name, address, locale, time zone and the hash of the address",
    tables=("accounts", "account_statements"),
)
_ADDRESS_MESSAGES: Final = Step(
    takes="the address in reports that name no notice, or another one, in the embedded bus and the "
    "dead letters",
    tables=("bus_messages",),
    run=_erase_addresses,
)
_NAMED: Final = Step(
    takes="the hashes of addresses that the account had, with their dates",
    tables=("named_addresses",),
    run=_forget_named_addresses,
)
_REPORTS: Final = Step(
    takes="the texts in mail providers' reports", tables=("notices", "mail_events"),
    run=_forget_reports,
)  # fmt: skip
_REPORT_MESSAGES: Final = Step(
    takes="those texts in the embedded bus and the dead letters", tables=("bus_messages",),
    run=_erase_reports,
)  # fmt: skip

AT_DELETION: Final = (
    _PROFILE,
    _ADDRESS_MESSAGES,
    _NAMED,
    Step(
        takes="open notices: unsent ones are never sent, links in sent ones stop working",
        tables=("notices",),
        run=_close_notices,
    ),
    Step(takes="the evidence of choices", tables=("consent_evidence",), run=_forget_evidence),
    _REPORTS,
    Step(
        takes="the sources of events that were dated ahead",
        tables=("early_statements",),
        run=_forget_sources,
    ),
    Step(
        takes="accounts, collections and what is personal in choices, in the embedded bus and the "
        "dead letters",
        tables=("bus_messages",),
        run=_erase_messages,
    ),
    _REPORT_MESSAGES,
    Step(takes="what the account holds", tables=("account_sets",), run=_forget_holdings),
)
"""What is erased when a deletion is recorded."""

AT_MINORITY: Final = (_PROFILE, _ADDRESS_MESSAGES, _NAMED, _REPORTS, _REPORT_MESSAGES)
"""What is erased when an account event first says that the owner is a minor."""

OF_MINORS: Final = (
    Step(
        takes="names and addresses in the embedded bus and the dead letters",
        tables=("bus_messages",),
        run=_hide_messages,
    ),
)
"""What is erased at every account event of a minor."""

LATER: Final = (
    LaterStep(
        takes="the hashes of the addresses that mails were sent to",
        tables=("notices",),
        run=_forget_address_hashes,
    ),
)
"""What the scheduler erases of deleted accounts after LATE_BOUNCES."""


# ------------------------------------------------------------------ running them


def forget_deleted(connection: Connection, accounts: Sequence[Forgotten], using: Using) -> None:
    """Run AT_DELETION for accounts whose profiles were just written as deleted."""
    _run(AT_DELETION, connection, accounts, using)


def forget_minors(
    connection: Connection,
    accounts: Sequence[Forgotten],
    using: Using,
    *,
    new: Sequence[Forgotten],
) -> None:
    """Run OF_MINORS for accounts just said to be minors', and AT_MINORITY for those new to it."""
    _run(AT_MINORITY, connection, new, using)
    _run(OF_MINORS, connection, accounts, using)


def _run(
    steps: Sequence[Step],
    connection: Connection,
    accounts: Sequence[Forgotten],
    using: Using,
) -> None:
    if not accounts:
        return
    for step in steps:
        if step.run:
            step.run(connection, accounts, using)


def forget_later(connection: Connection, now: datetime, limit: int) -> bool:
    """Run LATER, for up to `limit` rows at a time; False if there was nothing to forget."""
    # A list, so that every step runs even if an earlier one found something.
    forgot = [step.run(connection, now, limit) for step in LATER]
    return any(forgot)
