"""Send what is due: claim under lock, hand over to a provider, write what it said. RULES 14, 15.

The attempt is committed before the first byte leaves. Whoever dies in between leaves an attempt
that names its members: it is sent again at once only where the provider makes one message of two.
What became of the others is unknown, until the provider tells or time settles it (scheduler).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from reconsent.adapters.mail_rendering import CHOOSE_LINK
from reconsent.adapters.postgres import transaction
from reconsent.domain.errors import OutsideError
from reconsent.domain.mail import Letter, Provider, Recipient, Result
from reconsent.facts.claims import Attempt, Claim, Claims
from reconsent.facts.cohorts import Cohorts
from reconsent.facts.letters import Letters
from reconsent.facts.mail_events import bounce_rejected
from reconsent.facts.versions import PublishedVersions
from reconsent.queries import named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from reconsent.adapters.postgres import Connection, Lease, Pool
    from reconsent.adapters.signing import Signer

SQL = named("notices")
PACE = named("releases")
AT_MOST: Final = 1000
_AT_FIRST: Final = 50
# A release that is paused or cancelled stops with the claim at work.
_LONGEST_CLAIM: Final = 0.5
_SHORTEST_WAIT: Final = 0.02


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
        per_second: float | None = None,
    ) -> None:
        """Send over one provider; the lease tells others that this sender lives.

        All dispatchers together hand the provider at most `per_second` mails a second.
        """
        self._connections = connections
        self._provider = provider
        self._signer = signer
        self._public_url = public_url
        self._now = now
        self._per_second = per_second
        self._versions = PublishedVersions()
        self._claims = Claims(
            cohorts=Cohorts(),
            letters=Letters(public_url=public_url, sender=sender),
            provider=provider,
            lease=lease,
        )
        self._size = min(_AT_FIRST, AT_MOST)

    def work(self) -> bool:
        """Claim and hand over one batch; False where nothing was due."""
        recovered = transaction(self._connections, self._recover)
        if self._rests():
            return bool(recovered)
        began = time.monotonic()
        claim = transaction(self._connections, self._claim)
        if claim is None:
            time.sleep(_SHORTEST_WAIT)  # the pace lets no more pass at this moment
            return True
        self._send(claim)
        self._keep_size(time.monotonic() - began)
        return bool(recovered or claim.claimed)

    def idle(self) -> bool:
        """Tell whether nothing is due that could be sent now."""
        if self._rests():
            return True
        with self._connections.connection() as connection:
            latest = self._versions.now(connection).latest_ids
            due = {"latest": latest, "now": self._now()}
            row = connection.execute(SQL["any_due"], due).fetchone()
        return not (row and row[0])

    def _rests(self) -> bool:
        """Tell whether the provider takes nothing before a later time."""
        return self._provider.rests_until is not None and self._now() < self._provider.rests_until

    def _keep_size(self, seconds: float) -> None:
        """Claim as many at a time as are sent quickly."""
        if seconds > _LONGEST_CLAIM:
            self._size = max(1, round(self._size * _LONGEST_CLAIM / seconds))
        elif seconds < _LONGEST_CLAIM / 2:
            self._size = min(AT_MOST, self._size * 2)

    def _recover(self, connection: Connection) -> int:
        """Settle attempts whose sender died before it could say what became of them."""
        attempts = [row[0] for row in connection.execute(SQL["abandoned_attempts"])]
        if attempts:
            state = "due" if self._provider.repeats_safely else "unknown"
            connection.execute(SQL["settle_abandoned"], {"attempts": attempts, "state": state})
        return len(attempts)

    def _claim(self, connection: Connection) -> Claim | None:
        """Claim notices; None where the pace lets none pass now."""
        policies = self._versions.held(connection)
        limit = self._size
        if self._per_second is not None:
            limit = min(limit, self._pass(connection, self._per_second))
            if limit == 0:
                due = {"latest": policies.latest_ids, "now": self._now()}
                any_due = connection.execute(SQL["any_due"], due).fetchall()[0][0]
                return None if any_due else Claim(claimed=0, attempts=())
        claim = self._claims.claim(connection, policies, limit, self._now())
        if self._per_second is not None:
            sent = sum(len(attempt.members) for attempt in claim.attempts)
            connection.execute(PACE["spend"], {"provider": self._provider.name, "mails": sent})
        return claim

    def _pass(self, connection: Connection, per_second: float) -> int:
        """Return how many mails may be handed over now, and keep others from counting on them."""
        pace = {"provider": self._provider.name, "per_second": per_second}
        connection.execute(PACE["start_pace"], pace)
        return int(connection.execute(PACE["refill"], pace).fetchall()[0][0])

    def _send(self, claim: Claim) -> None:
        """Hand over the attempts of a claim. Raises OutsideError when mail cannot leave at all."""
        settled = claim.claimed - sum(len(attempt.members) for attempt in claim.attempts)
        putting_off: Result | None = None
        for position, attempt in enumerate(claim.attempts):
            try:
                results = self._provider.send(_letter(attempt), self._recipients(attempt))
            except OutsideError as error:
                for unsent in claim.attempts[position:]:
                    self._record(unsent, [Result("retry", str(error))] * len(unsent.members))
                raise
            self._record(attempt, results)
            settled += sum(result.outcome != "retry" for result in results)
            putting_off = next((r for r in results if r.outcome == "retry"), putting_off)
        if claim.claimed and not settled and putting_off and putting_off.not_before is None:
            why = putting_off.reason
            raise OutsideError(f"{self._provider.name}: takes no mail now: {why}")

    def _recipients(self, attempt: Attempt) -> list[Recipient]:
        return [
            Recipient(
                notice=str(notice.notice_id),
                email=notice.email,
                name=notice.name,
                choose_url=f"{self._public_url}/c/{self._signer.token(notice.asks_on)}"
                if notice.asks_on
                else "",
            )
            for notice in attempt.members
        ]

    def _record(self, attempt: Attempt, results: Sequence[Result]) -> None:
        """Write what became of an attempt. A provider that is never told twice is asked once."""

        def record(connection: Connection) -> None:
            columns: dict[str, Any] = {
                "attempt_id": attempt.attempt_id,
                "notice_id": [notice.notice_id for notice in attempt.members],
                "outcome": [result.outcome for result in results],
                "reason": [result.reason for result in results],
                "not_before": [result.not_before for result in results],
                "now": self._now(),
            }
            connection.execute(SQL["outcomes"], columns)
            connection.execute(
                SQL["end_attempt"],
                {"attempt_id": attempt.attempt_id, "outcome": _summary(results)},
            )
            if any(result.outcome == "rejected" for result in results):
                bounce_rejected(connection, attempt.attempt_id)

        transaction(self._connections, record)


def _letter(attempt: Attempt) -> Letter:
    return Letter(
        subject=attempt.mail.subject,
        text=attempt.mail.text,
        html=attempt.mail.html,
        locale=attempt.mail.locale,
        link_mark=CHOOSE_LINK,
    )


def _summary(results: Sequence[Result]) -> str:
    outcomes = [result.outcome for result in results]
    return " ".join(f"{outcome}={outcomes.count(outcome)}" for outcome in sorted(set(outcomes)))
