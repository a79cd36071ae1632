"""What the demo counts in the database, and how it shows counts: one column a policy."""

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
    """A line of a table: how many of something each policy has."""

    label: str
    counts: Mapping[str, int]


def show(heading: str, policies: Sequence[str], rows: Iterable[Row]) -> None:
    """Print rows of counts, a column for each policy and one for their sum."""
    columns = (*policies, "in all")
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
    """Count the notices of the latest versions by kind and by what becomes of them."""
    rows: dict[str, Counter[str]] = {}
    for notice in count_notices(connection, policies):
        if notice.policy_version != policies.by_name[notice.policy].latest.version:
            continue
        why = f", {notice.suppression}" if notice.suppression else ""
        label = f"{notice.kind}: {notice.state}{why}"
        rows.setdefault(label, Counter())[notice.policy] += notice.notices
    return [Row(label, rows[label]) for label in sorted(rows)]


class Mailed(NamedTuple):
    """A question that was mailed; whether its account answered on the page, or said nothing yet."""

    notice: str
    property: str
    account: str
    version_id: int
    visited: bool
    silent: bool


def mailed(connection: Connection) -> list[Mailed]:
    """Return the questions that were mailed, in the order of their accounts."""
    return [Mailed(*row) for row in connection.execute(SQL["mailed"])]


def audience(connection: Connection, cohorts: Cohorts, policies: Policies) -> list[Row]:
    """Count what became of everyone: each account stands in one of the indented lines."""
    became: dict[str, Counter[str]] = {}
    found = list_notices(connection, cohorts, policies, Filters())
    for notice in _last(found, policies):
        label = _became(notice)
        became.setdefault(label, Counter())[notice["policy"]] += 1
    all_of, deleted = Counter[str](), Counter[str]()
    for policy, accounts, gone in connection.execute(SQL["accounts"]):
        all_of[policy], deleted[policy] = accounts, gone
    concerned = sum(became.values(), Counter[str]())
    became["not concerned by the change"] = all_of - deleted - concerned
    became["deleted: told nothing, counted nowhere"] = deleted
    return [
        Row("people", all_of),
        *(Row(INDENT + label, became[label]) for label in sorted(became, key=_place)),
    ]


def answers(connection: Connection) -> list[Row]:
    """Count who said something, and the entries of the ledger by answer and channel."""
    speakers = Counter[str](dict(connection.execute(SQL["speakers"]).fetchall()))
    said: dict[str, Counter[str]] = {}
    for policy, answer, channel, count in connection.execute(SQL["ledger"]):
        said.setdefault(f"{INDENT}{_ANSWERS[answer]}, by {channel}", Counter())[policy] += count
    return [
        Row("people who said something", speakers),
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
    "not concerned",
    "deleted",
)


def _place(label: str) -> tuple[int, str]:
    """Order labels as the story goes."""
    return next(place for place, begin in enumerate(_ORDER) if label.startswith(begin)), label


def _last(notices: Iterable[dict[str, Any]], policies: Policies) -> Iterator[dict[str, Any]]:
    """Return each account's last notice of the latest version of its policy."""
    for _, run in groupby(notices, key=lambda notice: (notice["property"], notice["account"])):
        latest = [
            notice
            for notice in run
            if notice["kind"] != "reminder"
            and notice["policy_version"] == policies.by_name[notice["policy"]].latest.version
        ]
        if latest:
            yield latest[-1]


def _became(notice: Mapping[str, Any]) -> str:
    """Say in a few words what became of an account's notice."""
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
