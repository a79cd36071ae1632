"""One account's story: what is known about it, and how each decision about its data came about.

It leaves out the person's name and address, so that anyone who must justify a decision can read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reconsent.domain.account import Contact, Past, PermissionSubject, Status, history
from reconsent.domain.notice import Address, part_refused, questions
from reconsent.domain.permission import permit
from reconsent.domain.times import as_written, rfc3339
from reconsent.domain.use import ANY, Held, Use, narrower, sort_key
from reconsent.facts.ledgers import read_ledgers
from reconsent.facts.read.ledger import ledger_json
from reconsent.facts.read.notices import Filters, list_notices
from reconsent.store.named import named
from reconsent.store.rows import all_rows, one_row, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date, datetime

    from reconsent.domain.consent import Decision
    from reconsent.domain.policy import Policy
    from reconsent.facts.sets import Cohorts
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("read/account_story")


class _Account(NamedTuple):
    """The account's row; `at` is the time for which permissions are checked."""

    account_key: int
    status: Status
    contact: Contact
    minor: bool
    locale: str | None
    updated_at: datetime | None
    deleted_at: datetime | None
    holdings_id: int
    standing_id: int
    address: Address
    unsubscribed_at: datetime | None
    at: datetime


class _Holding(NamedTuple):
    """One pair of data category and version that the account holds."""

    data_category: str
    collected_under: str | None
    first_collected_at: datetime
    last_collected_on: date
    source: str


class _Erased(NamedTuple):
    """One pair that was erased."""

    data_category: str
    collected_under: str | None
    erased_at: datetime


class _Ahead(NamedTuple):
    """What was dated ahead of when it came in: an account event, a collection or a choice."""

    what: str
    counts_from: datetime
    stated_at: datetime


class _Accepted(NamedTuple):
    notice: str
    accepted_at: datetime


def account_json(
    connection: Connection,
    cohorts: Cohorts,
    policies: Policies,
    property_name: str,
    account: str,
    *,
    at: datetime | None = None,
) -> dict[str, Any] | None:
    """Return one account's story, without name and address; None if there is no such account.

    Permissions are checked for the time `at`, by default the database's now. The account stays
    locked against changes until the transaction ends.
    """
    name = {"property": property_name, "account": account}
    found = one_row(connection, _Account, SQL["account"], name | {"at": at})
    if found is None:
        return None
    policy = policies.of_property(property_name)
    standing = cohorts.standings(connection, [found.standing_id])[found.standing_id]
    held = cohorts.holdings(connection, [found.holdings_id])[found.holdings_id]
    key = found.account_key
    ledger = read_ledgers(connection, [key], policies).get(key)
    wanted = Filters(property=property_name, account=account)
    return {
        **name,
        "policy": policy.name if policy else None,
        "latest_version": policy.latest.version if policy else None,
        "latest_effective_at": as_written(policy.latest.effective_at) if policy else None,
        **_profile(found),
        "time_zone": values(connection, SQL["time_zone"], {"account_key": key})[0],
        "history": _history(connection, found),
        "dated_ahead": _dated_ahead(connection, found),
        **_data(connection, found, policy),
        "asked": _asked(connection, cohorts, policy, found, standing),
        "notices": _notices(connection, found, list_notices(connection, cohorts, policies, wanted)),
        "consents": ledger_json(connection, key, ledger) if ledger else [],
        "permissions": _permissions(found, policy, held, standing),
    }


def _profile(found: _Account) -> dict[str, Any]:
    return {
        "status": found.status,
        "contact": found.contact,
        "minor": found.minor,
        "stub": found.updated_at is None,
        "locale": found.locale,
        "address_state": found.address,
        "unsubscribed_at": rfc3339(found.unsubscribed_at),
        "updated_at": rfc3339(found.updated_at),
        "deleted_at": rfc3339(found.deleted_at),
    }


def _history(connection: Connection, found: _Account) -> list[dict[str, Any]]:
    said = all_rows(connection, Past, SQL["history"], {"account_key": found.account_key})
    return [past._asdict() | {"since": rfc3339(past.since)} for past in history(said)]


def _dated_ahead(connection: Connection, found: _Account) -> list[dict[str, Any]]:
    rows = all_rows(connection, _Ahead, SQL["dated_ahead"], {"account_key": found.account_key})
    return [
        {
            "what": row.what,
            "counts_from": rfc3339(row.counts_from),
            "stated_at": rfc3339(row.stated_at),
        }
        for row in dict.fromkeys(rows)
    ]


def _data(connection: Connection, found: _Account, policy: Policy | None) -> dict[str, Any]:
    """Return the data held and erased."""
    of_account = {"account_key": found.account_key}
    holds = all_rows(connection, _Holding, SQL["holds"], of_account)
    erased = all_rows(connection, _Erased, SQL["erased"], of_account)
    return {
        "holds": [
            {
                "data_category": one.data_category,
                "collected_under": one.collected_under,
                "published": _is_published(one.collected_under, policy),
                "first_collected_at": rfc3339(one.first_collected_at),
                "last_collected_on": one.last_collected_on.isoformat(),
                "source": one.source,
            }
            for one in sorted(holds, key=_sort_key)
        ],
        "erased": [
            one._asdict() | {"erased_at": rfc3339(one.erased_at)}
            for one in sorted(erased, key=_sort_key)
        ],
    }


def _sort_key(pair: _Holding | _Erased) -> tuple[str, ...]:
    return sort_key((pair.data_category, pair.collected_under))


def _is_published(version: str | None, policy: Policy | None) -> bool | None:
    """Tell whether a version is published here; None if the data's version is unknown."""
    if version is None:
        return None
    return policy is not None and version in policy.by_name


def _asked(
    connection: Connection,
    cohorts: Cohorts,
    policy: Policy | None,
    found: _Account,
    standing: tuple[Decision, ...],
) -> list[dict[str, Any]]:
    """Return the questions of the account's ask, even if it may not be mailed. RULES 7, 8."""
    if policy is None:
        return []
    cohort = (found.holdings_id, found.standing_id)
    ask = cohorts.asks(connection, policy, [cohort])[cohort]
    return [
        {
            "data_use": question.data_use,
            "recipient": question.recipient,
            "new_uses": [use._asdict() for use in question.uses],
            "refused_before": _use_dicts(part_refused(question, standing)),
        }
        for question in questions(ask)
    ]


def _notices(
    connection: Connection, found: _Account, listed: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    of_account = {"account_key": found.account_key}
    rows = all_rows(connection, _Accepted, SQL["accepted"], of_account)
    accepted = {row.notice: row.accepted_at for row in rows}
    return [notice | {"accepted_at": rfc3339(accepted.get(notice["notice"]))} for notice in listed]


def _permissions(
    found: _Account,
    policy: Policy | None,
    held: tuple[Held, ...],
    standing: tuple[Decision, ...],
) -> list[dict[str, Any]]:
    """Check every use of the data held that is declared or was decided. RULES 20 to 26."""
    account = PermissionSubject(
        status=found.status, contact=found.contact, minor=found.minor, decisions=standing
    )
    uses = {
        use
        for pair in held
        for use in (*_declared(pair, policy), *_decided(pair, standing, policy, found.at))
    }
    return [_permission(account, policy, use, found.at) for use in sorted(uses, key=sort_key)]


def _declared(pair: Held, policy: Policy | None) -> Iterator[Use]:
    """Yield the uses of the data that its own version and the latest one declare."""
    if policy is None:
        return
    own = policy.by_name.get(pair.collected_under or "")
    for version in (own, policy.latest):
        for category, data_use, recipient in version.declared if version else ():
            narrow = narrower(pair.data_category, category)
            if narrow is not None:
                yield Use(narrow, pair.collected_under, data_use, recipient)


def _decided(
    pair: Held, standing: tuple[Decision, ...], policy: Policy | None, at: datetime
) -> Iterator[Use]:
    """Yield the uses of the data that were decided; no recipient means the controller."""
    for _, use in standing:
        narrow = narrower(pair.data_category, use.data_category)
        recipient = use.recipient
        if recipient == ANY:
            recipient = policy.in_force(at).controller if policy else ANY
        if narrow is not None and use.collected_under in (pair.collected_under, ANY):
            yield Use(narrow, pair.collected_under, use.data_use, recipient)


def _permission(
    account: PermissionSubject, policy: Policy | None, use: Use, at: datetime
) -> dict[str, Any]:
    answer = permit(account, policy, use, at)
    version = policy.by_name.get(answer.version or "") if policy else None
    return {
        **use._asdict(),
        "allowed": answer.allowed,
        "reason": answer.reason,
        "suppression": answer.suppression,
        "rule": answer.rule,
        "policy_version": answer.version,
        "effective_at": as_written(version.effective_at) if version else None,
        "decision": {"event_state": answer.decision.event_state.value}
        | answer.decision.use._asdict()
        if answer.decision
        else None,
    }


def _use_dicts(uses: Iterable[Use]) -> list[dict[str, Any]]:
    return [use._asdict() for use in sorted(uses, key=sort_key)]
