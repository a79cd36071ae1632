"""Send what is due: claim, look again under lock, render, note the attempt, hand over. RULES 14.

An attempt is committed before the first byte leaves. Whoever dies in between leaves an attempt
that names its members: it is sent again only where the provider makes one message of two.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.adapters.mail_rendering import CHOOSE_LINK, Mail
from reconsent.adapters.postgres import transaction
from reconsent.adapters.words import best_locale
from reconsent.domain.errors import OutsideError
from reconsent.domain.mail import Letter, Provider, Recipient, Result
from reconsent.domain.notice import Kind, State, part_refused, questions, suppression
from reconsent.domain.use import Use
from reconsent.facts.cohorts import Cohorts, Who
from reconsent.facts.letters import Letters, Wording
from reconsent.facts.mail_events import bounce_rejected
from reconsent.facts.versions import Policies, PublishedVersions
from reconsent.queries import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from reconsent.adapters.postgres import Connection, Lease, Pool
    from reconsent.adapters.signing import Signer

SQL = named("notices")
CLAIM: Final = 1000


class Claimed(NamedTuple):
    """A notice under lock, with its account as it is at this moment."""

    who: Who
    notice_id: UUID
    kind: Kind
    version_id: int
    planned_ask: int
    property_name: str
    email: Any
    name: str | None
    locale: str | None
    address_hash: bytes


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Notices about to be handed over together."""

    attempt_id: int
    mail: Mail
    members: Sequence[Claimed]


class Dispatcher:
    """Hands due notices to a mail provider."""

    name = "dispatcher"

    def __init__(
        self,
        connections: Pool,
        lease: Lease,
        provider: Provider,
        signer: Signer,
        *,
        public_url: str,
        sender: str,
        now: Callable[[], datetime],
    ) -> None:
        """Send over one provider; the lease tells others that this sender lives."""
        self._connections = connections
        self._lease = lease
        self._provider = provider
        self._signer = signer
        self._public_url = public_url
        self._letters = Letters(public_url=public_url, sender=sender)
        self._now = now
        self._versions = PublishedVersions()
        self._cohorts = Cohorts()

    def work(self) -> bool:
        """Claim and hand over one batch; False where nothing was due."""
        recovered = transaction(self._connections, self._recover)
        claimed, attempts = transaction(self._connections, self._claim)
        settled = claimed - sum(len(attempt.members) for attempt in attempts)
        later: str | None = None
        for position, attempt in enumerate(attempts):
            try:
                results = self._hand_over(attempt)
            except OutsideError as error:
                for unsent in attempts[position:]:
                    self._record(unsent, [Result("retry", str(error))] * len(unsent.members))
                raise
            self._record(attempt, results)
            settled += sum(result.outcome != "retry" for result in results)
            later = next((r.reason for r in results if r.outcome == "retry"), later)
        if claimed and not settled:
            raise OutsideError(f"{self._provider.name}: takes no mail now: {later}")
        return bool(recovered or claimed)

    def idle(self) -> bool:
        """Tell whether nothing is due."""
        with self._connections.connection() as connection:
            latest = self._versions.now(connection).latest_ids
            row = connection.execute(SQL["any_due"], {"latest": latest}).fetchone()
        return not (row and row[0])

    def _recover(self, connection: Connection) -> int:
        """Settle attempts whose sender died before it could say what became of them."""
        attempts = [row[0] for row in connection.execute(SQL["abandoned_attempts"])]
        if attempts:
            state = "due" if self._provider.repeats_safely else "unknown"
            connection.execute(SQL["settle_abandoned"], {"attempts": attempts, "state": state})
        return len(attempts)

    def _claim(self, connection: Connection) -> tuple[int, list[Attempt]]:
        policies = self._versions.held(connection)
        rows = connection.execute(SQL["claim"], {"latest": policies.latest_ids, "limit": CLAIM})
        claimed = [Claimed(Who(*row[9:]), *row[:9]) for row in rows]
        asks = self._asks(connection, policies, claimed)
        held_back = {c.notice_id: why for c in claimed if (why := _held_back(c, asks[c.notice_id]))}
        if held_back:
            connection.execute(
                SQL["let_go"],
                {
                    "notice_id": list(held_back),
                    "state": [state for state, _ in held_back.values()],
                    "suppression": [why for _, why in held_back.values()],
                },
            )
        to_send: dict[Wording, list[Claimed]] = {}
        standings = self._cohorts.standings(connection, {c.who.standing_id for c in claimed})
        for notice in claimed:
            if notice.notice_id in held_back:
                continue
            ask = asks[notice.notice_id]
            refused = frozenset[Use]().union(
                *(part_refused(q, standings[notice.who.standing_id]) for q in questions(ask))
            )
            locale = best_locale(notice.locale, policies.versions[notice.version_id])
            wording = Wording(
                notice.kind, notice.version_id, ask, refused, notice.property_name, locale
            )
            to_send.setdefault(wording, []).append(notice)
        return len(claimed), [
            self._begin(connection, policies, wording, members)
            for wording, all_members in to_send.items()
            for members in _parts(all_members, self._provider.at_most)
        ]

    def _asks(
        self, connection: Connection, policies: Policies, claimed: Sequence[Claimed]
    ) -> dict[UUID, frozenset[Use]]:
        """Look at what each claimed notice asks at this moment."""
        by_policy: dict[str, set[tuple[int, int]]] = {}
        for notice in claimed:
            policy = policies.versions[notice.version_id].policy
            by_policy.setdefault(policy, set()).add(notice.who.cohort)
        asks = {
            (policy, cohort): ask
            for policy, cohorts in by_policy.items()
            for cohort, ask in self._cohorts.asks(
                connection, policies.by_name[policy], cohorts
            ).items()
        }
        return {
            notice.notice_id: asks[policies.versions[notice.version_id].policy, notice.who.cohort]
            for notice in claimed
        }

    def _begin(
        self,
        connection: Connection,
        policies: Policies,
        wording: Wording,
        members: Sequence[Claimed],
    ) -> Attempt:
        letter = self._letters.keep(connection, policies, wording)
        payload = "".join([letter.rendering, *(notice.notice_id.hex for notice in members)])
        row = connection.execute(
            SQL["begin_attempt"],
            {
                "provider": self._provider.name,
                "lease": self._lease.number,
                "members": len(members),
                "payload_hash": hashlib.sha256(payload.encode()).hexdigest(),
            },
        ).fetchone()
        attempt_id = int(row[0]) if row else 0
        connection.execute(
            SQL["attempt"],
            {
                "attempt_id": attempt_id,
                "ask_id": letter.ask_id,
                "rendering": letter.rendering,
                "notice_id": [notice.notice_id for notice in members],
                "address_hash": [notice.address_hash for notice in members],
            },
        )
        return Attempt(attempt_id=attempt_id, mail=letter.mail, members=members)

    def _hand_over(self, attempt: Attempt) -> Sequence[Result]:
        letter = Letter(
            subject=attempt.mail.subject,
            text=attempt.mail.text,
            html=attempt.mail.html,
            locale=attempt.mail.locale,
            link_mark=CHOOSE_LINK,
        )
        recipients = [
            Recipient(
                notice=str(notice.notice_id),
                email=notice.email,
                name=notice.name,
                choose_url=f"{self._public_url}/c/{self._signer.token(notice.notice_id)}"
                if notice.kind == "choice"
                else "",
            )
            for notice in attempt.members
        ]
        return self._provider.send(letter, recipients)

    def _record(self, attempt: Attempt, results: Sequence[Result]) -> None:
        def record(connection: Connection) -> None:
            connection.execute(
                SQL["outcomes"],
                {
                    "attempt_id": attempt.attempt_id,
                    "notice_id": [notice.notice_id for notice in attempt.members],
                    "outcome": [result.outcome for result in results],
                    "now": self._now(),
                },
            )
            connection.execute(
                SQL["end_attempt"],
                {"attempt_id": attempt.attempt_id, "outcome": _summary(results)},
            )
            if any(result.outcome == "rejected" for result in results):
                bounce_rejected(connection, attempt.attempt_id)

        transaction(self._connections, record)


def _held_back(notice: Claimed, ask: frozenset[Use]) -> tuple[State, str | None] | None:
    """Look at a claimed notice again: suppression wins, then whether it still fits. RULES 14."""
    if why := suppression(notice.kind, notice.who.reach):
        return "suppressed", why
    if bool(ask) != (notice.kind == "choice"):
        return "superseded", None
    return None


def _parts(members: Sequence[Claimed], size: int) -> Iterable[Sequence[Claimed]]:
    return (members[start : start + size] for start in range(0, len(members), size))


def _summary(results: Sequence[Result]) -> str:
    outcomes = [result.outcome for result in results]
    return " ".join(f"{outcome}={outcomes.count(outcome)}" for outcome in sorted(set(outcomes)))
