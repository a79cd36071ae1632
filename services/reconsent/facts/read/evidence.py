"""What proves a notice: the attempts to send it, what was reported, the very words. DESIGN, 7."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from reconsent.domain.times import rfc3339
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconsent.store.postgres import Connection

SQL = named("read/evidence")
_AT_ONCE: Final = 500


def with_evidence(
    connection: Connection, notices: Iterable[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield notices as they are listed, each with what proves it.

    `attempts` are in their order; each tells what became of this notice, null while nobody knows.
    `letter` is what was sent last, as it was kept then, with `%choose_link%` where the person's own
    link stood; null where nothing was sent. `reason` is what the provider said last.
    """
    rest = iter(notices)
    while some := list(islice(rest, _AT_ONCE)):
        ids = {"notice_ids": [notice["notice"] for notice in some]}
        sent = {str(notice_id): found for notice_id, *found in connection.execute(SQL["sent"], ids)}
        attempts = _grouped(connection, "attempts", ids)
        events = _grouped(connection, "events", ids)
        for notice in some:
            name = notice["notice"]
            reason, *letter = sent[name]
            yield notice | {
                "reason": reason,
                "attempts": [
                    {
                        "provider": provider,
                        "started_at": rfc3339(started_at),
                        "ended_at": rfc3339(ended_at),
                        "outcome": outcome,
                    }
                    for provider, started_at, ended_at, outcome in attempts.get(name, [])
                ],
                "events": [
                    {"event": event, "occurred_at": rfc3339(at), "reason": why, "provider_id": of}
                    for event, at, why, of in events.get(name, [])
                ],
                "letter": _letter(*letter),
            }


def _grouped(
    connection: Connection, query: str, ids: dict[str, Any]
) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for notice_id, *row in connection.execute(SQL[query], ids):
        found.setdefault(str(notice_id), []).append(tuple(row))
    return found


def _letter(
    rendering: str | None, locale: str, template: str, content: dict[str, str]
) -> dict[str, Any] | None:
    if rendering is None:
        return None
    kept = {"rendering": rendering, "locale": locale, "template": template}
    return kept | {part: content[part] for part in ("subject", "text", "html")}
