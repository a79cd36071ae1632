"""Claiming notices that are due: look at each again under lock, and begin attempts. RULES 14, 16.

A claim is one transaction. It ends with attempts that name their members, committed before the
first byte leaves: if the sender dies afterwards, they show what may have been sent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.domain.locales import best_locale
from reconsent.domain.notice import (
    MAILED,
    State,
    asks_already,
    part_refused,
    questions,
    suppression,
)
from reconsent.domain.use import Use
from reconsent.facts.sending.due import Claimed, Lane, claim_due
from reconsent.facts.sending.renderings import Wording
from reconsent.store.named import named
from reconsent.store.postgres import look_up_by_index
from reconsent.store.rows import values
from reconsent.telemetry.log_events import MAIL_NOT_WRITTEN
from reconsent.telemetry.metrics import COUNTERS, MAILS_NOT_WRITTEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from reconsent.domain.mail import Provider, RenderedMail
    from reconsent.facts.sending.renderings import Renderings
    from reconsent.facts.sets import Cohorts
    from reconsent.facts.versions import Policies
    from reconsent.store.leases import Lease
    from reconsent.store.postgres import Connection

SQL = named("sending/claims")
# What keeps a mail from being written may be mended without a restart.
_PAUSE: Final = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Notices about to be handed over together."""

    attempt_id: int
    mail: RenderedMail
    members: Sequence[Claimed]


class NotSent(NamedTuple):
    """What becomes of a claimed notice that is not sent; `arrived`: what it repeats has arrived."""

    state: State
    suppression: str | None = None
    again: str | None = None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """How many notices were looked at, and the attempts that came of it."""

    claimed: int
    attempts: Sequence[Attempt]


class Claims:
    """Claims notices for one provider."""

    def __init__(
        self, *, cohorts: Cohorts, renderings: Renderings, provider: Provider, lease: Lease
    ) -> None:
        """Begin attempts for the sender that holds the lease."""
        self._cohorts = cohorts
        self._renderings = renderings
        self._provider = provider
        self._lease = lease

    def claim(
        self, connection: Connection, policies: Policies, limit: int, now: datetime, lane: Lane
    ) -> Claim:
        """Claim up to `limit` notices, in the caller's transaction."""
        look_up_by_index(connection)
        claimed = claim_due(connection, policies, limit, now, lane)
        asks = self._asks(connection, policies, claimed)
        arrived = self._arrived(connection, claimed)
        not_sent = {
            notice.notice_id: why
            for notice in claimed
            if (why := _second_look(notice, asks[notice.notice_id], arrived, policies, now))
        }
        if not_sent:
            _let_go(connection, claimed, not_sent)
        sent = [notice for notice in claimed if notice.notice_id not in not_sent]
        wordings = self._wordings(connection, policies, sent, asks)
        for wording, error in self._not_written(policies, wordings).items():
            until = now + _PAUSE
            _put_off(connection, wordings[wording], until)
            _complain(policies, wording, len(wordings.pop(wording)), error)
        parts = [
            (wording, members)
            for wording, all_members in wordings.items()
            for members in _parts(all_members, self._provider.at_most)
        ]
        if self._provider.together and len(claimed) == limit:
            # More notices are due: those that do not fill a request wait for the next claim.
            parts = [part for part in parts if len(part[1]) == self._provider.at_most] or parts
        attempts = [self._begin(connection, policies, *part) for part in parts]
        return Claim(claimed=len(claimed), attempts=attempts)

    def _asks(
        self, connection: Connection, policies: Policies, claimed: Sequence[Claimed]
    ) -> dict[UUID, frozenset[Use]]:
        """Look at what each claimed notice asks, or reminds of, at this moment."""
        by_policy: dict[str, set[tuple[int, int]]] = {}
        for notice in claimed:
            policy = policies.versions[notice.version_id].policy
            by_policy.setdefault(policy, set()).add(notice.cohort)
        asks = {
            (policy, cohort): ask
            for policy, cohorts in by_policy.items()
            for cohort, ask in self._cohorts.asks(
                connection, policies.by_name[policy], cohorts
            ).items()
        }
        reminded = {n.about_ask_id for n in claimed if n.about_ask_id is not None}
        asked = self._cohorts.asked(connection, reminded)
        found = {}
        for notice in claimed:
            ask = asks[policies.versions[notice.version_id].policy, notice.cohort]
            if notice.kind == "reminder":
                ask &= asked[notice.about_ask_id or 0]
            found[notice.notice_id] = ask
        return found

    def _arrived(
        self, connection: Connection, claimed: Sequence[Claimed]
    ) -> Mapping[int, frozenset[Use]]:
        """Look up what has arrived of what claimed notices repeat."""
        repeated = {n.arrived_ask_id for n in claimed if n.arrived_ask_id is not None}
        return self._cohorts.asked(connection, repeated) if repeated else {}

    def _wordings(
        self,
        connection: Connection,
        policies: Policies,
        notices: Sequence[Claimed],
        asks: Mapping[UUID, frozenset[Use]],
    ) -> dict[Wording, list[Claimed]]:
        """Group notices by what decides the words of their mail."""
        standings = self._cohorts.standings(connection, {n.standing_id for n in notices})
        wordings: dict[tuple[Any, ...], Wording] = {}
        grouped: dict[Wording, list[Claimed]] = {}
        for notice in notices:
            ask, standing_id = asks[notice.notice_id], notice.standing_id
            same = (notice.kind, notice.version_id, ask, notice.property_name)
            if (known := wordings.get((*same, standing_id, notice.locale))) is None:
                refused = (part_refused(q, standings[standing_id]) for q in questions(ask))
                known = Wording(
                    kind=notice.kind,
                    version_id=notice.version_id,
                    ask=ask,
                    refused=frozenset[Use]().union(*refused),
                    property_name=notice.property_name,
                    locale=best_locale(notice.locale, policies.versions[notice.version_id]),
                )
                wordings[*same, standing_id, notice.locale] = known
            grouped.setdefault(known, []).append(notice)
        return grouped

    def _not_written(
        self, policies: Policies, wordings: Iterable[Wording]
    ) -> dict[Wording, Exception]:
        """Write the mail of each wording; return those that fail, with the errors."""
        failed: dict[Wording, Exception] = {}
        for wording in wordings:
            try:
                self._renderings.write(policies, wording)
            except Exception as error:  # noqa: BLE001 -- whatever it is, other mail is sent
                failed[wording] = error
        return failed

    def _begin(
        self,
        connection: Connection,
        policies: Policies,
        wording: Wording,
        members: Sequence[Claimed],
    ) -> Attempt:
        kept = self._renderings.keep(connection, policies, wording)
        payload = "".join([kept.rendering, *(notice.notice_id.hex for notice in members)])
        begun = {
            "provider": self._provider.name,
            "lease": self._lease.number,
            "members": len(members),
            "payload_hash": hashlib.sha256(payload.encode()).hexdigest(),
        }
        while not (numbers := values(connection, SQL["begin_attempt"], begun)):
            pass  # another claim has taken the number of this microsecond
        [attempt_id] = numbers
        connection.execute(
            SQL["attempt"],
            {
                "attempt_id": attempt_id,
                "ask_id": kept.ask_id,
                "rendering": kept.rendering,
                "account_keys": ",".join(str(notice.account_key) for notice in members),
                "notice_ids": ",".join(str(notice.notice_id) for notice in members),
                "address_hashes": ",".join(notice.address_hash.hex() for notice in members),
            },
        )
        return Attempt(attempt_id=attempt_id, mail=kept.mail, members=members)


def _let_go(
    connection: Connection,
    claimed: Sequence[Claimed],
    decided: Mapping[UUID, NotSent],
) -> None:
    """Write the new states of claimed notices that are not sent."""
    not_sent = [notice for notice in claimed if notice.notice_id in decided]
    columns = {
        "account_key": [notice.account_key for notice in not_sent],
        "notice_id": [notice.notice_id for notice in not_sent],
        "state": [decided[notice.notice_id].state for notice in not_sent],
        "suppression": [decided[notice.notice_id].suppression for notice in not_sent],
        "again": [decided[notice.notice_id].again for notice in not_sent],
    }
    connection.execute(SQL["let_go"], columns)
    if needless := [n.account_key for n in not_sent if decided[n.notice_id].again]:
        # What they were to repeat is open again.
        connection.execute(SQL["look_again"], {"keys": sorted(needless)})


def _put_off(connection: Connection, notices: Sequence[Claimed], until: datetime) -> None:
    """Let claimed notices wait, so that others are claimed before them."""
    columns = {
        "account_key": [notice.account_key for notice in notices],
        "notice_id": [notice.notice_id for notice in notices],
        "until": until,
    }
    connection.execute(SQL["put_off"], columns)


def _complain(policies: Policies, wording: Wording, notices: int, error: Exception) -> None:
    version = policies.versions[wording.version_id]
    MAIL_NOT_WRITTEN.log(
        kind=wording.kind,
        policy=version.policy,
        policy_version=version.version,
        property=wording.property_name,
        locale=wording.locale,
        error=f"{type(error).__name__}: {error}",
        notices=notices,
        minutes=_PAUSE.total_seconds() // 60,
    )
    COUNTERS.add(MAILS_NOT_WRITTEN, notices, policy=version.policy, policy_version=version.version)


def _second_look(
    notice: Claimed,
    ask: frozenset[Use],
    arrived: Mapping[int, frozenset[Use]],
    policies: Policies,
    now: datetime,
) -> NotSent | None:
    """Return what becomes of a claimed notice that is not to be sent after all. RULES 13 to 15."""
    if why := suppression(notice.kind, notice.reach):
        return NotSent("suppressed", why)
    if notice.kind == "reminder" and not _still_open(notice, policies, now):
        return NotSent("superseded")
    if bool(ask) == (notice.kind == "information"):
        return NotSent("superseded")
    if asks_already(arrived.get(notice.arrived_ask_id or 0, frozenset()), ask):
        return NotSent("superseded", again="arrived")
    return None


def _still_open(notice: Claimed, policies: Policies, now: datetime) -> bool:
    """Tell whether what a reminder reminds of was mailed, and may still be answered in time."""
    within = policies.versions[notice.version_id].respond_within
    if notice.about_state not in MAILED or not notice.about_open:
        return False
    if notice.about_accepted_at is None:
        return False
    return within is None or now < notice.about_accepted_at + within


def _parts(members: Sequence[Claimed], size: int) -> Iterable[Sequence[Claimed]]:
    return (members[start : start + size] for start in range(0, len(members), size))
