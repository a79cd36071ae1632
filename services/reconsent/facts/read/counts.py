"""Counts: running services, backlogs, notices by state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from reconsent.domain.received import CLOCKS_DIFFER
from reconsent.facts.restores import held_since
from reconsent.facts.versions import Policies
from reconsent.store import dead_letters
from reconsent.store.named import named
from reconsent.store.postgres import Connection
from reconsent.store.rows import all_rows, values
from reconsent.store.stops import StoppedPartition, stopped_partitions

SQL = named("read/counts")


class NoticeCount(NamedTuple):
    """How many notices of a version are of one kind, in one state, for one reason."""

    policy: str
    policy_version: str
    kind: str
    state: str
    suppression: str | None
    notices: int


class EarlyCount(NamedTuple):
    """How many events of a source stated a time ahead of when they came in, and how far at most."""

    topic: str
    source: str
    statements: int
    ahead: timedelta


@dataclass(frozen=True, kw_only=True)
class Status:
    """Running services, backlogs and dead letters by topic, and counts of notices.

    `early`: whose clocks are ahead. `held_since`: since when no mail is sent because the database
    was restored.
    """

    services: dict[str, int]
    lags: dict[str, int]
    dead_letters: dict[str, int]
    notices: list[NoticeCount]
    early: list[EarlyCount]
    held_since: datetime | None
    not_ours: int
    """Reports about mails of other senders, so far."""
    stopped: list[StoppedPartition]


class _Service(NamedTuple):
    service: str
    processes: int


class _State(NamedTuple):
    version_id: int
    kind: str
    state: str
    suppression: str | None
    notices: int


def status(connection: Connection, policies: Policies, lags: dict[str, int]) -> Status:
    """Return all counts; the caller supplies the bus's `lags` by topic."""
    return Status(
        services={
            row.service: row.processes for row in all_rows(connection, _Service, SQL["services"])
        },
        lags=lags,
        dead_letters=dead_letters.count(connection),
        notices=count_notices(connection, policies),
        early=count_early(connection),
        held_since=held_since(connection),
        not_ours=values(connection, SQL["not_ours"])[0],
        stopped=stopped_partitions(connection),
    )


def count_early(connection: Connection) -> list[EarlyCount]:
    """Count what came in ahead of its time by more than clocks may differ. RULES 27."""
    wanted = {"longer_than": CLOCKS_DIFFER}
    return all_rows(connection, EarlyCount, SQL["early"], wanted)


def count_notices(connection: Connection, policies: Policies) -> list[NoticeCount]:
    """Count notices by version, kind, derived state and reason."""
    counts: dict[tuple[str, str, str, str, str | None], int] = {}
    for row in all_rows(connection, _State, SQL["count_states"]):
        version = policies.versions[row.version_id]
        overtaken = row.version_id != policies.latest_id(version.policy) and (
            row.state in {"planned", "due"} or (row.state == "suppressed" and row.kind == "choice")
        )
        shown = ("superseded", None) if overtaken else (row.state, row.suppression)
        key = (version.policy, version.version, row.kind, *shown)
        counts[key] = counts.get(key, 0) + row.notices
    return [NoticeCount(*key, count) for key, count in counts.items()]
