"""Send what is due: claim under lock, hand over to a provider, write what it said. RULES 14, 15.

The attempt is committed before the first byte leaves, and so is the fact that it is about to. A
sender that dies after that leaves an attempt that names its members. They are sent again at once if
nothing was handed over, or if the provider delivers repeated messages once. What became of all
others is unknown until the provider reports it or time settles it (scheduler).
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
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
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from reconsent.domain.signing import Signer
    from reconsent.store.leases import Lease
    from reconsent.store.postgres import Connection, Database

AT_MOST: Final = 1000
REQUESTS: Final = 4
_AT_FIRST: Final = 50
# A release that is paused or cancelled stops after the claim at work.
_LONGEST_CLAIM: Final = 0.3
_LONGEST_STEP: Final = 0.5
_SHORTEST_WAIT: Final = 0.02
_OFTEN: Final = 0.02

_NOTHING: Final = Claim(claimed=0, attempts=())
_WAIT: Final = Claim(claimed=1, attempts=())


@dataclass(frozen=True, kw_only=True)
class _Handed:
    """How a claim's attempts went; `put_off` is set if some mails are to be retried."""

    stopped: OutsideError | None
    put_off: bool
    seconds: float


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
        self._claims = Claims(
            cohorts=Cohorts(),
            renderings=Renderings(self._render),
            provider=provider,
            lease=lease,
        )
        # A provider that takes many mails in one request gets as few requests as possible.
        self._size = REQUESTS * provider.at_most if provider.together else min(_AT_FIRST, AT_MOST)
        self._lease = lease
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
        worked, stopped = self._pump()
        if stopped:
            raise stopped
        return bool(recovered or worked)

    def _pump(self) -> tuple[bool, OutsideError | None]:
        """Hand over one batch while the next is claimed; return whether any, and what ended it.

        What became of a batch is recorded meanwhile too. After any failure the batch at work is
        still waited for, and its results are kept.
        """
        until = time.monotonic() + _LONGEST_STEP
        worked = False
        stopped: OutsideError | None = None
        at_work: Future[_Handed] | None = None
        with (
            ThreadPoolExecutor(1, "handing over") as hands,
            ThreadPoolExecutor(1, "recording") as pen,
        ):
            recording = pen.submit(self._record_handed)
            while True:
                claim = self._next() if time.monotonic() < until else _NOTHING
                worked |= claim.claimed > 0
                following = (
                    hands.submit(self._hand_over, claim.attempts) if claim.attempts else None
                )
                if at_work:
                    while not wait([at_work], timeout=_OFTEN).done:
                        # Less is unknown if this sender is killed.
                        recording = self._record_more(pen, recording)
                    handed = at_work.result()
                    recording.result()
                    recording = pen.submit(self._record_handed)
                    self._keep_size(handed)
                    stopped = stopped or handed.stopped
                    if handed.stopped or handed.put_off:
                        until = 0.0  # not retried at once
                at_work = following
                if at_work is None and not claim.claimed:
                    recording.result()
                    return worked, stopped

    def _record_more(self, pen: Executor, recording: Future[None]) -> Future[None]:
        """Record what was handed over since, once the recording at work is done."""
        if not recording.done():
            return recording
        recording.result()
        return pen.submit(self._record_handed)

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

    def _keep_size(self, handed: _Handed) -> None:
        """Adapt the size of a claim to what is handed over quickly."""
        if self._provider.together:
            return
        if handed.seconds > _LONGEST_CLAIM:
            self._size = max(1, round(self._size * _LONGEST_CLAIM / handed.seconds))
        elif handed.seconds < _LONGEST_CLAIM / 2:
            self._size = min(AT_MOST, self._size * 2)

    def _next(self) -> Claim:
        """Claim the next batch; while the pace lets none pass, wait shortly and return nothing."""
        if self._rests():
            return _NOTHING
        claim = self._database.transaction(self._claim)
        if claim is _WAIT:
            time.sleep(_SHORTEST_WAIT)
        return claim

    def _claim(self, connection: Connection) -> Claim:
        if not self._lease.held(connection):
            # Others would presume this sender dead and abandon what it claims; the next step renews
            # the lease.
            raise OutsideError("database: the connection that holds the sender's lease is gone")
        if sending_held(connection, self._provider):
            return _NOTHING
        policies = self._versions.locked(connection)
        limit = self._pace.lets_pass(connection, self._size)
        if limit == 0:
            return _WAIT if any_due(connection, policies, self._now()) else _NOTHING
        claim = self._claims.claim(connection, policies, limit, self._now())
        self._pace.spend(connection, sum(len(attempt.members) for attempt in claim.attempts))
        return claim

    def _hand_over(self, attempts: Sequence[Attempt]) -> _Handed:
        """Hand attempts over, up to the first of which nothing could leave."""
        began = time.monotonic()
        all_said: list[Result] = []
        stopped: OutsideError | None = None
        for attempt in attempts:
            said: Sequence[Result] | None = None
            if stopped is None:
                try:
                    said = self._said(attempt)
                except OutsideError as error:
                    stopped = error
            if said is None:
                why = str(stopped) if stopped else "abandoned or held before it was handed over"
                said = [Result("retry", why)] * len(attempt.members)
            else:
                all_said += said
            self._handed.append((attempt, said))
        put_off = [r for r in all_said if r.outcome == "retry" and r.not_before is None]
        if put_off and len(put_off) == len(all_said) and stopped is None:
            reason = put_off[0].reason
            stopped = OutsideError(f"{self._provider.name}: takes no mail now: {reason}")
        seconds = time.monotonic() - began
        return _Handed(stopped=stopped, put_off=bool(put_off), seconds=seconds)

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
