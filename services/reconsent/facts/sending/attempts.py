"""What becomes of attempts: handed over, ended, or left behind by a sender that is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import class_row

from reconsent.domain.bucket import bucket_of, by_bucket
from reconsent.domain.mail import Result
from reconsent.facts.record.mail_events import record_rejections
from reconsent.store.named import named
from reconsent.store.postgres import look_up_by_index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconsent.facts.sending.claims import Attempt
    from reconsent.store.postgres import Connection

SQL = named("sending/attempts")
_ACCEPTED: Final = Result("accepted")


@dataclass(frozen=True, kw_only=True)
class _Abandoned:
    """An attempt that its sender did not end, and whether it was handed over."""

    attempt_id: int
    handed_over: bool


def begin_handing_over(connection: Connection, attempt: Attempt) -> bool:
    """Note that an attempt is handed over from now on; False where it was abandoned.

    A sender that is suspended between claim and hand-over is presumed dead. When it resumes,
    another sender may have sent the same notices.
    """
    rows = connection.execute(SQL["hand_over"], {"attempt_id": attempt.attempt_id})
    return bool(rows.fetchall())


def end(connection: Connection, attempt: Attempt, results: Sequence[Result], now: datetime) -> None:
    """Write what became of an attempt, also if it was abandoned meanwhile."""
    look_up_by_index(connection)
    if not (set(results) == {_ACCEPTED} and _accept(connection, attempt, now)):
        _write(connection, attempt, results, now)
    summary = {"attempt_id": attempt.attempt_id, "outcome": _summary(results)}
    connection.execute(SQL["end_attempt"], summary)


def _accept(connection: Connection, attempt: Attempt, now: datetime) -> bool:
    """Write that all members were accepted; False if some did not wait for that any more."""
    # In the order in which a deletion locks notices.
    members = sorted(
        attempt.members, key=lambda notice: (bucket_of(notice.account_key), notice.account_key)
    )
    accepted = {
        "attempt_id": attempt.attempt_id,
        "account_keys": ",".join(str(notice.account_key) for notice in members),
        "notice_ids": ",".join(str(notice.notice_id) for notice in members),
        "now": now,
    }
    return connection.execute(SQL["accept"], accepted).rowcount == len(attempt.members)


def _write(
    connection: Connection, attempt: Attempt, results: Sequence[Result], now: datetime
) -> None:
    """Write what became of each member, whatever was known of it before."""
    columns: dict[str, Any] = {
        "attempt_id": attempt.attempt_id,
        "account_key": [notice.account_key for notice in attempt.members],
        "notice_id": [notice.notice_id for notice in attempt.members],
        "outcome": [result.outcome for result in results],
        "reason": [result.reason for result in results],
        "not_before": [result.not_before for result in results],
        "now": now,
    }
    # Statements of their own: what is read after it is as it is once the locks are held.
    for bucket, keys in by_bucket(columns["account_key"]):
        members = {"attempt_id": attempt.attempt_id, "bucket": bucket, "keys": keys}
        connection.execute(SQL["lock_members"], members, prepare=True)
    connection.execute(SQL["outcomes"], columns)
    rejected = {
        notice.notice_id: notice.account_key
        for notice, result in zip(attempt.members, results, strict=True)
        if result.outcome == "rejected"
    }
    of_mailbox = {
        notice.notice_id
        for notice, result in zip(attempt.members, results, strict=True)
        if result.mailbox
    }
    if rejected:
        record_rejections(connection, attempt.attempt_id, rejected, of_mailbox=of_mailbox, at=now)


def recover(connection: Connection, lease: int, *, repeats_safely: bool) -> int:
    """Settle the attempts of senders that died before they recorded results; return how many.

    The caller must have recorded all its own results. What is still open under its own lease it
    never learned of, because the answer to a commit was lost. What was not handed over is certainly
    not sent.
    """
    cursor = connection.cursor(row_factory=class_row(_Abandoned))
    found = cursor.execute(SQL["abandoned_attempts"], {"lease": lease}).fetchall()
    state = "due" if repeats_safely else "unknown"
    for handed_over, becomes, why in ((False, "due", "retry"), (True, state, "repeated")):
        if attempts := [one.attempt_id for one in found if one.handed_over == handed_over]:
            columns = {"attempts": attempts, "state": becomes, "why": why}
            connection.execute(SQL["settle_abandoned"], columns)
    return len(found)


def _summary(results: Sequence[Result]) -> str:
    outcomes = [result.outcome for result in results]
    return " ".join(f"{outcome}={outcomes.count(outcome)}" for outcome in sorted(set(outcomes)))
