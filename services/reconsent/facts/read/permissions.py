"""Permission checks, answered from the recorded facts. RULES 20 to 26."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from reconsent.domain.account import Contact, PermissionSubject, Status
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import Time
from reconsent.domain.fields import CollectedUnder, DottedKey, Name, PartyKey, Property
from reconsent.domain.permission import Permission, permit
from reconsent.domain.times import rfc3339
from reconsent.domain.use import Use, covers, meet
from reconsent.facts.ledgers import read_ledgers
from reconsent.facts.read.ledger import ledger_json
from reconsent.facts.sets import as_standing
from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconsent.domain.policy import Policy
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("read/permissions")
_CLOCKS_DIFFER: Final = timedelta(minutes=1)


class Check(BaseModel):
    """One check: may this data be used? `collected_under` None is an unknown version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    property: Property
    account: Name
    data_category: DottedKey
    data_use: DottedKey
    collected_under: CollectedUnder | None = None
    recipient: PartyKey | None = None
    at: Time | None = None


class _Account(NamedTuple):
    """What an account's permissions depend on."""

    property: str
    account: str
    account_key: int
    status: Status
    contact: Contact
    minor: bool
    standing: list[Any]


def refuse_past(check: Check, now: datetime) -> None:
    """Reject a check about the past, which is not supported. Raises BadInputError."""
    if check.at and check.at < now - _CLOCKS_DIFFER:
        raise BadInputError("at: is in the past; only now or later can be checked")


PermissionJson = dict[str, Annotated[Any, "JSON"]]


def check_all(
    connection: Connection,
    checks: Sequence[Check],
    policies: Policies,
    now: datetime,
    *,
    evidence: bool,
) -> list[PermissionJson]:
    """Return the result of each check in order, as JSON."""
    accounts = _accounts(connection, checks)
    known = {key for key, _ in accounts.values()}
    said = _entries(connection, known, policies) if evidence else {}
    results = []
    for check in checks:
        key, standing = accounts.get((check.property, check.account), (0, None))
        policy = policies.of_property(check.property)
        at = check.at or now
        use = _use(check, policy, at)
        permission = permit(standing, policy, use, at)
        found = _json(check, use, permission, at)
        if evidence:
            found["evidence"] = _evidence(permission, said.get(key, []), use)
        results.append(found)
    return results


def _accounts(
    connection: Connection, checks: Sequence[Check]
) -> dict[tuple[str, str], tuple[int, PermissionSubject]]:
    names = {(check.property, check.account) for check in checks}
    wanted = {"properties": [name[0] for name in names], "accounts": [name[1] for name in names]}
    return {
        (row.property, row.account): (
            row.account_key,
            PermissionSubject(
                status=row.status,
                contact=row.contact,
                minor=row.minor,
                decisions=as_standing(row.standing),
            ),
        )
        for row in all_rows(connection, _Account, SQL["many"], wanted)
    }


def _use(check: Check, policy: Policy | None, at: datetime) -> Use:
    recipient = check.recipient or (policy.in_force(at).controller if policy else "")
    return Use(check.data_category, check.collected_under, check.data_use, recipient)


def _json(check: Check, use: Use, permission: Permission, at: datetime) -> PermissionJson:
    return {
        "allowed": permission.allowed,
        "reason": permission.reason,
        "suppression": permission.suppression,
        "property": check.property,
        "account": check.account,
        "data_category": check.data_category,
        "collected_under": check.collected_under,
        "data_use": check.data_use,
        "recipient": use.recipient or None,
        "at": rfc3339(at),
    }


def _entries(
    connection: Connection, keys: set[int], policies: Policies
) -> dict[int, list[dict[str, Any]]]:
    """Read accounts' ledger entries as `reconsent consents` prints them."""
    found = read_ledgers(connection, sorted(keys), policies)
    return {key: ledger_json(connection, key, ledger) for key, ledger in found.items()}


def _evidence(
    permission: Permission, entries: Sequence[dict[str, Any]], use: Use
) -> PermissionJson:
    """Return the rule, the version and the ledger entries that a permission is based on."""
    rests_on = permission.decision
    relevant = [
        entry
        for entry in entries
        if rests_on
        and entry["event_state"] == rests_on.event_state
        and (meet(_named(entry), use) or covers(_named(entry), rests_on.use))
    ]
    return {"rule": permission.rule, "policy_version": permission.version, "consents": relevant}


def _named(entry: dict[str, Any]) -> Use:
    fields = ("data_category", "collected_under", "data_use", "recipient")
    return Use(*(entry[field] for field in fields))
