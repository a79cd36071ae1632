"""Counts from the database for the demo, in tables with one column per policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeVar

from reconsent import terminal
from reconsent.facts.read.counts import count_notices
from reconsent.facts.read.notices import Filters, list_notices
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import Policies
from reconsent.store.named import named
from reconsent.store.postgres import Connection

SQL = named("demo")
INDENT: Final = "  "
Found = TypeVar("Found")


class Row(NamedTuple):
    """A row of a table: a count for each policy."""

    label: str
    counts: Mapping[str, int]


def show(heading: str, policies: Sequence[str], rows: Iterable[Row]) -> None:
    """Print rows of counts, with a column for each policy and one for the total."""
    columns = (*policies, "total")
    lines = [
        (row.label, *(row.counts.get(name, 0) for name in policies), sum(row.counts.values()))
        for row in rows
    ]
    widths = [
        max(len(column), *(len(f"{line[place]:,}") for line in lines)) if lines else 0
        for place, column in enumerate(columns, start=1)
    ]
    terminal.table(
        (heading, *(f"{name:>{width}}" for name, width in zip(columns, widths, strict=True))),
        (
            (line[0], *(f"{n:>{width},}" for n, width in zip(line[1:], widths, strict=True)))
            for line in lines
        ),
    )


def plan(connection: Connection, policies: Policies) -> list[Row]:
    """Count the notices of the latest versions by kind, state and suppression."""
    rows: dict[str, Counter[str]] = {}
    for notice in count_notices(connection, policies):
        if notice.policy_version != policies.by_name[notice.policy].latest.version:
            continue
        suppression = f", {notice.suppression}" if notice.suppression else ""
        label = f"{notice.kind}: {notice.state}{suppression}"
        rows.setdefault(label, Counter())[notice.policy] += notice.notices
    return [Row(label, rows[label]) for label in sorted(rows)]


class Mailed(NamedTuple):
    """A mailed choice notice. Its account answered on the page (visited), or nothing (silent)."""

    notice: str
    property: str
    account: str
    version_id: int
    visited: bool
    silent: bool


def mailed(connection: Connection) -> list[Mailed]:
    """Return the mailed choice notices, in order of version and account."""
    return [Mailed(*row) for row in connection.execute(SQL["mailed"])]


def audience(connection: Connection, cohorts: Cohorts, policies: Policies) -> list[Row]:
    """Count the accounts by outcome: each is counted in exactly one of the indented rows."""
    outcomes: dict[str, Counter[str]] = {}
    found = list_notices(connection, cohorts, policies, Filters())
    for notice in _last(found, policies):
        label = _outcome(notice)
        outcomes.setdefault(label, Counter())[notice["policy"]] += 1
    all_of, deleted = Counter[str](), Counter[str]()
    for policy, accounts, gone in connection.execute(SQL["accounts"]):
        all_of[policy], deleted[policy] = accounts, gone
    affected = sum(outcomes.values(), Counter[str]())
    outcomes["not affected by the change"] = all_of - deleted - affected
    outcomes["deleted: not contacted"] = deleted
    return [
        Row("people", all_of),
        *(Row(INDENT + label, outcomes[label]) for label in sorted(outcomes, key=_rank)),
    ]


def answers(connection: Connection) -> list[Row]:
    """Count the people who answered, and the entries of the ledger by answer and channel."""
    speakers = Counter[str](dict(connection.execute(SQL["speakers"]).fetchall()))
    said: dict[str, Counter[str]] = {}
    for policy, answer, channel, count in connection.execute(SQL["ledger"]):
        said.setdefault(f"{INDENT}{_ANSWERS[answer]}, by {channel}", Counter())[policy] += count
    return [
        Row("people who answered", speakers),
        Row("answers in the ledger", sum(said.values(), Counter[str]())),
        *(Row(label, said[label]) for label in sorted(said)),
    ]


def entries(connection: Connection) -> int:
    """Count the entries of the ledger."""
    return sum(count for *_, count in connection.execute(SQL["ledger"]))


_ANSWERS: Final = {"allow": "yes", "deny": "no", "expired": "no answer in time"}
_ORDER: Final = (
    "asked by mail, answered",
    "asked by mail, still open",
    "asked by mail",
    "informed by mail",
    "to be mailed",
    "answered before a mail went out",
    "left out",
    "not affected",
    "deleted",
)


def _rank(label: str) -> tuple[int, str]:
    """Rank a label in the order of the story."""
    return next(rank for rank, start in enumerate(_ORDER) if label.startswith(start)), label


def _last(notices: Iterable[dict[str, Any]], policies: Policies) -> Iterator[dict[str, Any]]:
    """Yield each account's last notice of the latest version of its policy."""
    for _, run in groupby(notices, key=lambda notice: (notice["property"], notice["account"])):
        latest = [
            notice
            for notice in run
            if notice["kind"] != "reminder"
            and notice["policy_version"] == policies.by_name[notice["policy"]].latest.version
        ]
        if latest:
            yield latest[-1]


def _outcome(notice: Mapping[str, Any]) -> str:
    """Describe the outcome of an account's notice in a few words."""
    state, settled = notice["state"], notice["settled"]
    if state == "suppressed":
        return f"left out: {notice['suppression']}"
    if state == "superseded":
        return "answered before a mail went out"
    if state in {"planned", "due"}:
        return "to be mailed"
    if notice["kind"] == "information":
        return "informed by mail"
    if settled is None:
        return "asked by mail, still open"
    return f"asked by mail, {settled}"
