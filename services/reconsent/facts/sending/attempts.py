"""What becomes of attempts: handed over, ended, or left behind by a sender that is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconsent.facts.record.mail_events import bounce_rejected
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconsent.domain.mail import Result
    from reconsent.facts.sending.claims import Attempt
    from reconsent.store.postgres import Connection

SQL = named("sending/attempts")
CLAIMS = named("sending/claims")


def begin_handing_over(connection: Connection, attempt: Attempt) -> bool:
    """Note that an attempt is handed over from now on; False where it was taken for abandoned.

    Whoever is stopped between claim and hand-over, and taken for dead, may find the same notices
    sent by somebody else when it goes on.
    """
    rows = connection.execute(SQL["hand_over"], {"attempt_id": attempt.attempt_id})
    return bool(rows.fetchall())


def end(connection: Connection, attempt: Attempt, results: Sequence[Result], now: datetime) -> None:
    """Write what became of an attempt, also where it was taken for abandoned meanwhile."""
    columns: dict[str, Any] = {
        "attempt_id": attempt.attempt_id,
        "notice_id": [notice.notice_id for notice in attempt.members],
        "outcome": [result.outcome for result in results],
        "reason": [result.reason for result in results],
        "not_before": [result.not_before for result in results],
        "now": now,
    }
    connection.execute(CLAIMS["by_index"])
    connection.execute(SQL["outcomes"], columns)
    summary = {"attempt_id": attempt.attempt_id, "outcome": _summary(results)}
    connection.execute(SQL["end_attempt"], summary)
    if any(result.outcome == "rejected" for result in results):
        bounce_rejected(connection, attempt.attempt_id)


def recover(connection: Connection, lease: int, *, repeats_safely: bool) -> int:
    """Settle attempts whose sender died before it could say what became of them; return how many.

    So are those of the asking sender that it does not know of, for the answer to their commit was
    lost: it must have ended all that it handed over. What was not handed over is surely not sent.
    """
    found = connection.execute(SQL["abandoned_attempts"], {"lease": lease}).fetchall()
    state = "due" if repeats_safely else "unknown"
    for handed_over, becomes, why in ((False, "due", "retry"), (True, state, "repeated")):
        if attempts := [attempt for attempt, was in found if was == handed_over]:
            columns = {"attempts": attempts, "state": becomes, "why": why}
            connection.execute(SQL["settle_abandoned"], columns)
    return len(found)


def _summary(results: Sequence[Result]) -> str:
    outcomes = [result.outcome for result in results]
    return " ".join(f"{outcome}={outcomes.count(outcome)}" for outcome in sorted(set(outcomes)))
