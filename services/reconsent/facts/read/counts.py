"""How much is where: who works, what waits, notices by state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from reconsent.facts.versions import Policies
from reconsent.store import dead_letters
from reconsent.store.named import named
from reconsent.store.postgres import Connection

SQL = named("read/counts")


class NoticeCount(NamedTuple):
    """How many notices of a version are of one kind, in one state, for one reason."""

    policy: str
    policy_version: str
    kind: str
    state: str
    suppression: str | None
    notices: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """The services at work, the messages and the dead letters that wait by topic, the notices."""

    services: dict[str, int]
    lags: dict[str, int]
    dead_letters: dict[str, int]
    notices: list[NoticeCount]


def status(connection: Connection, policies: Policies, lags: dict[str, int]) -> Status:
    """Count what is at work and what waits, besides the messages that wait on the bus."""
    return Status(
        services=dict(connection.execute(SQL["services"]).fetchall()),
        lags=lags,
        dead_letters=dead_letters.count(connection),
        notices=count_notices(connection, policies),
    )


def count_notices(connection: Connection, policies: Policies) -> list[NoticeCount]:
    """Count notices by version, kind, state and reason, as they stand now."""
    counts: dict[tuple[str, str, str, str, str | None], int] = {}
    for version_id, kind, state, suppression, count in connection.execute(SQL["count_states"]):
        version = policies.versions[version_id]
        overtaken = version_id != policies.latest_id(version.policy) and (
            state in {"planned", "due"} or (state == "suppressed" and kind == "choice")
        )
        shown = ("superseded", None) if overtaken else (state, suppression)
        key = (version.policy, version.version, kind, *shown)
        counts[key] = counts.get(key, 0) + count
    return [NoticeCount(*key, count) for key, count in counts.items()]
