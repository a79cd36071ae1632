"""tests/cases/rules.yaml as stories: steps to take, and the expected results.

`run(case, source)` plays a case on anything that is a Source: the model (ModelSource), or a real
system behind a driver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import yaml

from tests.model.register import NoticeKey
from tests.model.steps import (
    Click,
    Dispatch,
    Expire,
    Look,
    Permit,
    Plan,
    Player,
    Publish,
    Record,
    Report,
    Step,
    Tombstone,
)
from tests.model.uses import instant

CASES = Path(__file__).parents[1] / "cases" / "rules.yaml"
SITE = "site.example"

Line = Mapping[str, Any]  # one line of a story, as in the file


class Source(Protocol):
    """What a case is played on; results have the shapes that the commands print."""

    def take(self, step: Step) -> object:
        """Take a step; return mails for Dispatch, a status for Click, (allowed, reason, …)."""

    def notices(self) -> list[dict[str, Any]]:
        """Return all notices."""

    def consents(self, site: str, account: str) -> list[dict[str, Any]]:
        """Return an account's ledger, oldest first."""

    def erasures(self) -> list[dict[str, Any]]:
        """Return the erasures to be made."""


@dataclass(kw_only=True)
class ModelSource:
    """The model as a source."""

    player: Player = field(default_factory=Player)

    def take(self, step: Step) -> object:
        """Take a step on the model."""
        return self.player.take(step)

    def notices(self) -> list[dict[str, Any]]:
        """Return the model's notices."""
        return self.player.world.notices()

    def consents(self, site: str, account: str) -> list[dict[str, Any]]:
        """Return the model's ledger."""
        return self.player.world.consents(site, account)

    def erasures(self) -> list[dict[str, Any]]:
        """Return the model's erasures."""
        return self.player.world.erasures()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case: its title, the versions it may publish, and its story."""

    title: str
    versions: Mapping[str, Mapping[str, Any]]
    story: Sequence[Line]

    def lines(self) -> Iterator[tuple[datetime, Line]]:
        """The story's lines with their times: noon of its `day`, else one hour later."""
        now = datetime(2027, 1, 10, 12, tzinfo=UTC)
        for line in self.story:
            now = _noon(line["day"]) if "day" in line else now
            yield now, line
            now += timedelta(hours=1)


@cache
def load() -> Sequence[Case]:
    """Read the cases; a case's own `versions` extend or replace the common ones."""
    content = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    return [
        Case(
            title=case["case"],
            versions={
                name: _document(name, version)
                for name, version in (content["versions"] | case.get("versions", {})).items()
            },
            story=case["story"],
        )
        for case in content["cases"]
    ]


def _document(name: str, version: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a version to a policy file, with texts and parties."""
    parties = {"example", "new-owner", version["controller"]}
    parties |= set(version.get("joint_controllers", []))
    parties |= {party for row in version["declares"] for party in row.get("recipients", [])}
    text = {"title": f"Policy {name}", "summary": "What changes.", "body": f"# Policy {name}\n"}
    return {
        "policy": "policy",
        "version": name,
        "properties": [SITE],
        "parties": {key: {"name": key.title(), "country": "NO"} for key in sorted(parties)},
        "texts": {"en": text},
        "notice": {},
        **version,
        "effective_at": _noon(version["effective_at"]).isoformat(),
    }


def _noon(value: Any) -> datetime:  # noqa: ANN401 - a date or a time, from YAML
    if isinstance(value, datetime):
        return instant(value)
    return datetime.combine(value, time(12), UTC)


# ---------------------------------------------------------------------- steps


def run(case: Case, source: Source) -> None:
    """Play a case; raise AssertionError if a result differs from the case."""
    for number, (now, line) in enumerate(case.lines()):
        verb = next(iter(line))
        where = f"{case.title}, line {number + 1} of its story: {dict(line)}"
        if verb in _RESULTS:
            found, expected = _RESULTS[verb](source, line[verb]), line[verb]
            assert found == expected, f"{where}\nfound: {found}"
            continue
        results: list[Any] = [source.take(step) for step in _steps(case, verb, line, now, number)]
        wanted: object = line[verb] if verb in ("mail", "send") else line.get("is")
        seen = _result(verb, results)
        if "to" in line:
            assert [mail["email"] for mail in results[-1]] == line["to"], where
        assert wanted is None or seen == wanted, f"{where}\nfound: {seen}"


def _steps(case: Case, verb: str, line: Line, now: datetime, number: int) -> list[Step]:
    given = line[verb]
    match verb:
        case "publish":
            names = [given] if isinstance(given, str) else given
            return [Publish(now=now, document=case.versions[name]) for name in names]
        case "account" | "collected" | "choice":
            return [_record(verb, given, now, number)]
        case "tombstone":
            return [Tombstone(now=now, key=(SITE, given), at=now)]
        case "open" | "click" | "report":
            return [_about_notice(verb, given, now)]
        case "permit":
            fact = {"data_category": None, "collected_under": None, **_long(given)}
            fact["at"] = _noon(fact["at"]) if "at" in fact else None
            return [Permit(now=now, key=(SITE, fact.pop("account")), **fact)]
    services: dict[str, list[Step]] = {
        "mail": [Plan(now=now), Dispatch(now=now)],
        "plan": [Plan(now=now)],
        "send": [Dispatch(now=now)],
        "expire": [Expire(now=now)],
    }
    return services[verb]


def _about_notice(verb: str, given: Mapping[str, Any], now: datetime) -> Step:
    if verb == "report":
        return _report(given, now)
    notice = _notice(given)
    if verb == "open":
        return Look(now=now, notice=notice, slot=given["as"])
    answers = {
        (use, by): answer
        for answer in ("allow", "deny")
        for use, by in (question.split(" by ") for question in given.get(answer, []))
    }
    changing = given.get("changing", False)
    return Click(now=now, notice=notice, given=answers, slot=given.get("page"), changing=changing)


def _notice(given: Mapping[str, Any]) -> NoticeKey:
    return (SITE, given["account"], given["version"], given.get("sequence", 1))


def _report(given: Mapping[str, Any], now: datetime) -> Step:
    return Report(
        now=now,
        notice=_notice(given) if "account" in given else None,
        email=given.get("email"),
        event=given["event"],
        reason=given.get("reason"),
        occurred_at=now,
        identity=f"report at {now}",
    )


def _record(verb: str, given: Mapping[str, Any], now: datetime, number: int) -> Step:
    """Complete a line about an account, a collection or a choice to an event."""
    address = f"{given['account']}@example.org"
    events: dict[str, tuple[str, str, dict[str, Any]]] = {
        "account": (
            "accounts",
            "updated_at",
            {"status": "active", "contact": "all", "email": address},
        ),
        "collected": ("collections", "collected_at", {"collected_under": None}),
        "choice": ("choices", "decided_at", {"channel": "phone"}),
    }
    topic, dated, defaults = events[verb]
    fact = {"property": SITE, **defaults, dated: now, **_long(given)}
    fact[dated] = _noon(fact[dated]).isoformat()
    return Record(now=now, topic=topic, data=fact, identity=f"line-{number}")


def _long(given: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the short names of the file by the names of the interface."""
    names = {"data": "data_category", "under": "collected_under", "use": "data_use"}
    names["by"] = "recipient"
    return {names.get(name, name): value for name, value in given.items()}


# ---------------------------------------------------------------------- results


def _result(verb: str, results: list[Any]) -> object:
    if verb in ("mail", "send"):
        return {mail["account"]: mail["kind"] for mail in results[-1]}
    if verb == "permit":
        allowed, reason, suppression = results[0]
        words = ["allowed" if allowed else "denied", reason, suppression]
        return " ".join(word for word in words if word)
    return results[0]


def _notices(source: Source, accounts: Mapping[str, Any]) -> dict[str, list[str]]:
    """The accounts' notices: version, sequence, kind, state, and suppression or settlement."""
    names = ("policy_version", "sequence", "kind", "state", "suppression", "settled")
    rows = sorted(source.notices(), key=lambda row: (row["policy_version"], row["sequence"]))
    return {
        account: [
            " ".join(str(row[name]) for name in names if row[name] is not None)
            for row in rows
            if row["account"] == account
        ]
        for account in accounts
    }


def _asked(source: Source, accounts: Mapping[str, Any]) -> dict[str, list[str]]:
    """The items that each account's last notice asks about."""
    last = {}
    for row in sorted(source.notices(), key=lambda row: (row["policy_version"], row["sequence"])):
        last[row["account"]] = row["asks"]
    return {
        account: sorted(
            f"{item['data_category']} of {item['collected_under'] or 'unknown'}"
            f" for {item['data_use']} by {item['recipient']}"
            for item in last.get(account, [])
        )
        for account in accounts
    }


def _ledger(source: Source, accounts: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        account: [entry["event_state"] for entry in source.consents(SITE, account)]
        for account in accounts
    }


def _erasures(source: Source, _: object) -> list[str]:
    return sorted(
        f"{row['account']}: {row['data_category']} of {row['collected_under'] or 'unknown'}"
        for row in source.erasures()
    )


_RESULTS = {"notices": _notices, "asked": _asked, "ledger": _ledger, "erasures": _erasures}
