"""What is published of accounts: notices, ledger entries, permissions, and who left.

Each function returns all that may have changed of some accounts; what was published of it before is
not looked at here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.rows import class_row
from psycopg.sql import SQL as COMPOSED
from psycopg.types.string import TextLoader
from pydantic_core import to_json

from reconsent.domain.account import AccountState, Contact, PermissionSubject, Status
from reconsent.domain.permission import allowed
from reconsent.domain.times import rfc3339
from reconsent.facts.ledgers import read_ledgers
from reconsent.facts.read.ledger import entries
from reconsent.facts.read.notices import NOTICES, Row, as_they_stand, unnamed_json
from reconsent.facts.remembered import Remembered
from reconsent.store.named import named
from reconsent.store.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconsent.domain.consent import Decision
    from reconsent.domain.policy import Policy
    from reconsent.domain.use import Held
    from reconsent.facts.sets import Cohorts
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("published/state")
NOTICES_OF: Final = COMPOSED(SQL["notices_of"]).format(notices=NOTICES)
_REMEMBERED: Final = 100_000


class Item(NamedTuple):
    """One thing that is published; `value` is JSON, None where it is erased."""

    account_key: int
    id: Any
    property: str
    account: str
    value: bytes | None


class _Cohort(NamedTuple):
    """What decides what data may be used for; `policy` is empty where none governs the property."""

    policy: str
    versions: int
    holdings_id: int
    standing_id: int
    minor: bool
    suppressed: bool

    def subject(self, decisions: Sequence[Decision]) -> PermissionSubject:
        """Return any account of the cohort."""
        return PermissionSubject(
            status="active",
            contact="none" if self.suppressed else "all",
            minor=self.minor,
            decisions=decisions,
        )


@dataclass(frozen=True, kw_only=True)
class _Name:
    """What an account is called."""

    account_key: int
    property: str
    account: str


@dataclass(frozen=True, kw_only=True)
class _Holder(AccountState):
    """What decides what an account's data may be used for."""

    holdings_id: int
    standing_id: int

    def cohort(self, policy: Policy | None) -> _Cohort:
        """Return what it shares with all whose data may be used in the same way."""
        return _Cohort(
            policy=policy.name if policy else "",
            versions=len(policy.versions) if policy else 0,
            holdings_id=self.holdings_id,
            standing_id=self.standing_id,
            minor=self.minor,
            suppressed=self.opted_out is not None,
        )


class _Account(NamedTuple):
    """An account, with what decides what its data may be used for; columns of the query."""

    account_key: int
    property: str
    account: str
    holdings_id: int
    standing_id: int
    status: Status
    contact: Contact
    minor: bool

    def alike(self) -> tuple[Any, ...]:
        """What it shares with all whose data may be used in the same way."""
        return self.property, *self[3:]


@dataclass(frozen=True, kw_only=True)
class _Unsubscribe:
    """How an account's owner left."""

    account_key: int
    entry: int
    property: str
    account: str
    reason: str
    channel: str
    occurred_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return it as it is published."""
        return {
            "property": self.property,
            "account": self.account,
            "reason": self.reason,
            "channel": self.channel,
            "occurred_at": rfc3339(self.occurred_at),
        }


class PublishedState:
    """What is published of accounts, topic by topic."""

    def __init__(self, cohorts: Cohorts) -> None:
        """Remember what cohorts are asked and what their data may be used for."""
        self._cohorts = cohorts
        self._allowed = Remembered[_Cohort, bytes](_REMEMBERED)

    def notices(
        self, connection: Connection, policies: Policies, keys: Sequence[int]
    ) -> list[Item]:
        """Return notices as `reconsent notices` prints them."""
        cursor = connection.cursor(row_factory=rows_of(Row))
        # As text: Python's own form of an id is slow to make, to compare and to write.
        cursor.adapters.register_loader("uuid", TextLoader)
        rows = cursor.execute(NOTICES_OF, {"keys": keys}).fetchall()
        distinct = list({row.unnamed(): row for row in rows}.values())
        unnamed = {
            row.unnamed(): to_json(unnamed_json(policies, row, notice))[1:]
            for row, notice in as_they_stand(connection, self._cohorts, policies, distinct)
        }
        return [
            Item(
                row.account_key,
                row.notice_id,
                row.property,
                row.account,
                b'{"notice":"%b","property":%b,"account":%b,%b'
                % (
                    row.notice_id.encode(),
                    to_json(row.property),
                    to_json(row.account),
                    unnamed[row.unnamed()],
                ),
            )
            for row in rows
        ]

    def consents(
        self, connection: Connection, policies: Policies, keys: Sequence[int]
    ) -> list[Item]:
        """Return ledger entries as `reconsent consents` prints them."""
        said = read_ledgers(connection, keys, policies)
        if not said:
            return []
        found = entries(connection, said)
        cursor = connection.cursor(row_factory=class_row(_Name))
        return [
            Item(
                name.account_key,
                f"{name.account_key}-{number}",
                name.property,
                name.account,
                to_json(entry),
            )
            for name in cursor.execute(SQL["names_of"], {"keys": list(said)})
            for number, entry in found.get(name.account_key, ())
        ]

    def permissions(
        self, connection: Connection, policies: Policies, keys: Sequence[int]
    ) -> list[Item]:
        """Return what each account's data may be used for, whole; None of deleted accounts."""
        cursor = connection.cursor(row_factory=rows_of(_Account))
        accounts = cursor.execute(SQL["cohorts_of"], {"keys": keys}).fetchall()
        cohorts = {
            alike: _Holder(
                holdings_id=account.holdings_id,
                standing_id=account.standing_id,
                status=account.status,
                contact=account.contact,
                minor=account.minor,
            ).cohort(policies.of_property(account.property))
            for alike, account in {account.alike(): account for account in accounts}.items()
            if account.status != "deleted"
        }
        allowed_uses = self._allowed.look_up(
            cohorts.values(), lambda unknown: self._allow(connection, policies, unknown)
        )
        values = {alike: allowed_uses[cohort] for alike, cohort in cohorts.items()}
        return [
            Item(
                account.account_key,
                account.account_key,
                account.property,
                account.account,
                None if allowed is None else _permissions_json(account, allowed),
            )
            for account in accounts
            for allowed in [values.get(account.alike())]
        ]

    def unsubscribes(self, connection: Connection, _: Policies, keys: Sequence[int]) -> list[Item]:
        """Return who wants no more optional mail, and how they said so."""
        cursor = connection.cursor(row_factory=class_row(_Unsubscribe))
        return [
            Item(
                one.account_key,
                f"{one.account_key}-{one.entry}",
                one.property,
                one.account,
                to_json(one.as_json()),
            )
            for one in cursor.execute(SQL["of_accounts"], {"keys": keys})
        ]

    def _allow(
        self, connection: Connection, policies: Policies, cohorts: Sequence[_Cohort]
    ) -> dict[_Cohort, bytes]:
        """Write as JSON what the data of these cohorts may be used for."""
        holdings = self._cohorts.holdings(connection, (c.holdings_id for c in cohorts))
        standings = self._cohorts.standings(connection, (c.standing_id for c in cohorts))
        return {
            cohort: to_json(
                [
                    _held_json(cohort.subject(standings[cohort.standing_id]), policies, policy, one)
                    for policy in [policies.by_name.get(cohort.policy)]
                    for one in holdings[cohort.holdings_id]
                ]
            )
            for cohort in cohorts
        }


def _permissions_json(account: _Account, allowed_uses: bytes) -> bytes:
    return b'{"property":%b,"account":%b,"permissions":%b}' % (
        to_json(account.property),
        to_json(account.account),
        allowed_uses,
    )


def _held_json(
    account: PermissionSubject, policies: Policies, policy: Policy | None, held: Held
) -> dict[str, Any]:
    return {
        "data_category": held.data_category,
        "collected_under": held.collected_under,
        "allowed": [
            {
                "data_category": one.use.data_category,
                "data_use": one.use.data_use,
                "recipient": one.use.recipient,
                "from": _since(policies, policy.name if policy else "", one.reason, one.version),
            }
            for one in allowed(account, policy, held)
        ],
    }


def _since(policies: Policies, policy: str, reason: str, version: str) -> str | None:
    """Tell from when on a use is allowed: a declared one once its version is published."""
    version_id = policies.ids[policy, version]
    effective = policies.versions[version_id].effective_at
    if reason == "declared":
        return rfc3339(min(effective, policies.published_at[version_id]))
    return rfc3339(effective)
