"""Send what is due: claim under lock, hand over to a provider, write what it said. RULES 14, 15.

The attempt is committed before the first byte leaves, and so is the fact that it is about to. A
sender that dies after that leaves an attempt that names its members. They are sent again at once if
nothing was handed over, or if the provider delivers repeated messages once. What became of all
others is unknown until the provider reports it or time settles it (scheduler).
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from reconsent.domain.errors import OutsideError, ReconsentError
from reconsent.domain.mail import Provider, RenderedMail, Result
from reconsent.domain.notice import questions
from reconsent.facts.restores import sending_held
from reconsent.facts.sending.attempts import begin_handing_over, end, recover
from reconsent.facts.sending.claims import Attempt, Claim, Claims
from reconsent.facts.sending.due import any_due
from reconsent.facts.sending.pace import Pace
from reconsent.facts.sending.renderings import Renderings, Wording
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import Policies, PublishedVersions
from reconsent.words.mails import render_mail
from reconsent.workers.addressing import Addressing
from reconsent.workers.pump import NOTHING, Handed, Pump
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from reconsent.domain.signing import Signer
    from reconsent.facts.sending.due import Lane
    from reconsent.store.leases import Lease
    from reconsent.store.postgres import Connection, Database

AT_MOST: Final = 1000
REQUESTS: Final = 4
_AT_FIRST: Final = 50
# A release that is paused or cancelled stops after the claim at work.
_LONGEST_CLAIM: Final = 0.3
_SHORTEST_WAIT: Final = 0.02

_WAIT: Final = Claim(claimed=1, attempts=())


class Dispatcher(Service):
    """Hands due notices to a mail provider."""

    name = "dispatcher"

    def __init__(  # noqa: PLR0913 (all that it works with, by name)
        self,
        database: Database,
        lease: Lease,
        provider: Provider,
        signer: Signer,
        *,
        public_url: str,
        sender: str,
        information_sender: str | None = None,
        now: Callable[[], datetime],
        per_second: float | None = None,
    ) -> None:
        """Send over one provider; the lease shows others that this sender is alive.

        Information is sent from a separate address if there is one: complaints about optional mail
        must not harm the delivery of notices that are owed. All dispatchers together hand the
        provider at most `per_second` mails a second.
        """
        self._database = database
        self._provider = provider
        self._public_url = public_url
        self._sender = sender
        self._addressing = Addressing(signer, public_url, sender, information_sender or sender)
        self._now = now
        self._pace = Pace(provider.name, per_second)
        self._versions = PublishedVersions()
        renderings = Renderings(self._render)
        self._claims = Claims(
            cohorts=Cohorts(), renderings=renderings, provider=provider, lease=lease
        )
        # A provider that takes many mails in one request gets as few requests as possible.
        self._size = REQUESTS * provider.at_most if provider.together else min(_AT_FIRST, AT_MOST)
        lanes = 1 if provider.together else 2
        self._pump = Pump(self._next, self._hand_over, self._record_handed, lanes=lanes)
        self._lease = lease
        # Why no more mail can leave in the step at work; the thread that hands over writes it.
        self._stopped: OutsideError | None = None
        # Results of attempts that are not recorded yet; no failure may lose them.
        self._handed: deque[tuple[Attempt, Sequence[Result]]] = deque()

    @override
    def work(self) -> bool:
        """Claim and hand over what is due, for a short while; False where nothing was.

        On return every result is recorded. Raises OutsideError when no mail can leave.
        """
        self._lease.renew()
        self._record_handed()
        recovered = self._database.transaction(
            partial(
                recover, lease=self._lease.number, repeats_safely=self._provider.repeats_safely
            ),
        )
        self._stopped = None
        try:
            worked, stopped = self._pump.run(self._keep_size)
        except BaseException:
            # No step may follow, and what is not recorded would be unknown for good.
            with suppress(Exception):
                self._record_handed()
            raise
        if stopped:
            raise stopped
        return bool(recovered or worked)

    @override
    def idle(self) -> bool:
        """Tell whether no notice is due that could be sent now."""
        if self._rests():
            return True
        with self._database.connection() as connection:
            return sending_held(connection, self._provider) or not any_due(
                connection, self._versions.now(connection), self._now()
            )

    def _rests(self) -> bool:
        """Tell whether the provider has asked for no mail until a later time."""
        return self._provider.rests_until is not None and self._now() < self._provider.rests_until

    def _keep_size(self, handed: Handed) -> None:
        """Adapt the size of a claim to what is handed over quickly."""
        if self._provider.together:
            return
        if handed.seconds > _LONGEST_CLAIM:
            self._size = max(1, round(self._size * _LONGEST_CLAIM / handed.seconds))
        elif handed.seconds < _LONGEST_CLAIM / 2:
            self._size = min(AT_MOST, self._size * 2)

    def _next(self, lane: Lane) -> Claim:
        """Claim the next batch; while the pace lets none pass, wait shortly and return nothing."""
        if self._rests():
            return NOTHING
        claim = self._database.transaction(partial(self._claim, lane=lane))
        if claim is _WAIT:
            time.sleep(_SHORTEST_WAIT)
        return claim

    def _claim(self, connection: Connection, lane: Lane) -> Claim:
        if not self._lease.held(connection):
            # Others would presume this sender dead and abandon what it claims; the next step renews
            # the lease.
            raise OutsideError("database: the connection that holds the sender's lease is gone")
        if sending_held(connection, self._provider):
            return NOTHING
        policies = self._versions.locked(connection)
        limit = self._pace.lets_pass(connection, self._size)
        if limit == 0:
            return _WAIT if any_due(connection, policies, self._now()) else NOTHING
        claim = self._claims.claim(connection, policies, limit, self._now(), lane)
        self._pace.spend(connection, sum(len(attempt.members) for attempt in claim.attempts))
        return claim

    def _hand_over(self, attempts: Sequence[Attempt]) -> Handed:
        """Hand attempts over, up to the first of which nothing could leave."""
        began = time.monotonic()
        all_said: list[Result] = []
        for attempt in attempts:
            said: Sequence[Result] | None = None
            if self._stopped is None and not self._rests():
                try:
                    said = self._said(attempt)
                except OutsideError as error:
                    self._stopped = error
            if said is None:
                why = str(self._stopped or "abandoned, held or put off before it was handed over")
                said = [Result("retry", why)] * len(attempt.members)
            else:
                all_said += said
            self._handed.append((attempt, said))
        put_off = [r for r in all_said if r.outcome == "retry" and r.not_before is None]
        if put_off and len(put_off) == len(all_said) and self._stopped is None:
            reason = put_off[0].reason
            self._stopped = OutsideError(f"{self._provider.name}: takes no mail now: {reason}")
        seconds = time.monotonic() - began
        return Handed(stopped=self._stopped, put_off=bool(put_off), seconds=seconds)

    def _said(self, attempt: Attempt) -> Sequence[Result] | None:
        """Return the provider's results of an attempt; None where it must not be handed over."""
        if not self._database.transaction(partial(self._begin_handing_over, attempt=attempt)):
            return None
        return self._provider.send(*self._addressing.of(attempt))

    def _begin_handing_over(self, connection: Connection, attempt: Attempt) -> bool:
        """Look for a restore again: the database may have been replaced since the claim."""
        held = sending_held(connection, self._provider)
        return not held and begin_handing_over(connection, attempt)

    def _record_handed(self) -> None:
        """Record the provider's results; those that cannot be recorded now are kept for later."""
        while self._handed:
            attempt, results = self._handed[0]
            try:
                self._end(attempt, results)
            except ReconsentError:
                raise
            except Exception:  # noqa: BLE001 (the outcome counts for more than what was said of it)
                self._end(attempt, [result._replace(reason=None) for result in results])
            self._handed.popleft()

    def _end(self, attempt: Attempt, results: Sequence[Result]) -> None:
        self._database.transaction(partial(end, attempt=attempt, results=results, now=self._now()))

    def _render(self, wording: Wording, policies: Policies) -> RenderedMail:
        version = policies.versions[wording.version_id]
        return render_mail(
            wording.kind,
            version=version,
            property_name=wording.property_name,
            locale=wording.locale,
            questions=questions(wording.ask),
            refused_before=wording.refused,
            published=policies.by_name[version.policy].by_name,
            public_url=self._public_url,
            sender=self._sender,
        )
