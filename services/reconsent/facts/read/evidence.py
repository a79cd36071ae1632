"""Evidence of a notice: its attempts, the reports about it, and its exact words. DESIGN, 7."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from uuid import UUID

from reconsent.domain.times import rfc3339
from reconsent.facts.notice_ids import accounts_of, as_columns
from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from reconsent.store.postgres import Connection

SQL = named("read/evidence")
_AT_ONCE: Final = 500


class _Sent(NamedTuple):
    """What was sent last as a notice; nothing but the reason where nothing was."""

    notice: str
    reason: str | None
    rendering: str | None
    locale: str | None
    template: str | None
    content: dict[str, str] | None

    def mail_json(self) -> dict[str, Any] | None:
        if self.rendering is None or self.content is None:
            return None
        kept = {"rendering": self.rendering, "locale": self.locale, "template": self.template}
        return kept | {part: self.content[part] for part in ("subject", "text", "html")}


class _Attempt(NamedTuple):
    """One attempt to send a notice, and what became of the notice in it."""

    notice: str
    provider: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None

    def as_json(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "started_at": rfc3339(self.started_at),
            "ended_at": rfc3339(self.ended_at),
            "outcome": self.outcome,
        }


class _Event(NamedTuple):
    """One report about the mail of a notice."""

    notice: str
    event: str
    occurred_at: datetime
    reason: str | None
    provider_id: str | None

    def as_json(self) -> dict[str, Any]:
        return {
            "event": self.event,
            "occurred_at": rfc3339(self.occurred_at),
            "reason": self.reason,
            "provider_id": self.provider_id,
        }


_OfNotice = TypeVar("_OfNotice", _Attempt, _Event)


def with_evidence(
    connection: Connection, notices: Iterable[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield listed notices, each with its evidence.

    `attempts` are in order, each with the outcome for this notice, null while unknown. `letter` is
    the stored content of the last mail, with `%choose_link%` in place of the person's own link;
    null if nothing was sent. `reason` is the provider's last reason.
    """
    rest = iter(notices)
    while some := list(islice(rest, _AT_ONCE)):
        owners = accounts_of(connection, [UUID(notice["notice"]) for notice in some])
        ids = as_columns(owners)
        sent = {row.notice: row for row in all_rows(connection, _Sent, SQL["sent"], ids)}
        attempts = _by_notice(all_rows(connection, _Attempt, SQL["attempts"], ids))
        events = _by_notice(all_rows(connection, _Event, SQL["events"], ids))
        for notice in some:
            name = notice["notice"]
            yield notice | {
                "reason": sent[name].reason,
                "attempts": [attempt.as_json() for attempt in attempts.get(name, [])],
                "events": [event.as_json() for event in events.get(name, [])],
                "letter": sent[name].mail_json(),
            }


def _by_notice(rows: Iterable[_OfNotice]) -> dict[str, list[_OfNotice]]:
    found: dict[str, list[_OfNotice]] = {}
    for row in rows:
        found.setdefault(row.notice, []).append(row)
    return found
