"""The outcome of a round, in a form that can be compared with a clean run's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from reconsent.facts.read.checks import Check
from reconsent.facts.read.notices import Filters, list_notices
from reconsent.facts.read.permissions import Permissions
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import connect
from tests.chaos.events import checks
from tests.kafka.facts import facts

_AT: Final = datetime(2100, 1, 1, tzinfo=UTC)
_MAILED: Final = frozenset({"accepted", "delivered", "bounced", "complained", "unknown"})
_CONSENTS: Final = (
    "SELECT property, account, answer, data_category, collected_under, data_use, recipient,"
    " consents.policy_version, channel, decided_at, event_hash, item"
    " FROM consents JOIN accounts USING (bucket, account_key) ORDER BY 1, 2, event_hash, item"
)
_DEAD_LETTERS: Final = (
    "SELECT (SELECT string_agg(header ->> 1, ' ' ORDER BY header ->> 0)"
    " FROM json_array_elements(headers) AS header"
    " WHERE header ->> 0 IN ('dead-letter-original-partition', 'dead-letter-original-offset'))"
    " FROM bus_messages WHERE topic LIKE '%.dead'"
)
Json = dict[str, Any]
Outcome = dict[str, list[Any]]


def outcome(conninfo: str) -> Outcome:
    """Read facts, notices and permissions, without what differs between two runs."""
    versions, accounts, collections, erasures, sets, dead_letters = facts(conninfo)
    with connect(conninfo) as connection:
        policies = PublishedVersions().now(connection)
        questions = [Check.model_validate(check).model_dump() for check in checks()]
        found = Permissions(Cohorts()).answer(connection, questions, policies, _AT)
        answers = map(json.loads, found)
        return {
            "versions": versions,
            "accounts": accounts,
            "collections": collections,
            "erasures": erasures,
            "holdings and standings": sets,
            "dead letters": sorted(set(dead_letters), key=repr),
            "consents": connection.execute(_CONSENTS).fetchall(),
            "notices": [_alike(notice) for notice in _notices(connection)],
            "permits": [(a["allowed"], a["reason"], a["suppression"]) for a in answers],
        }


def mailed(conninfo: str) -> dict[str, str]:
    """Return the state of each notice that was, or may have been, handed over."""
    with connect(conninfo) as connection:
        return {
            notice["notice"]: notice["state"]
            for notice in _notices(connection)
            if notice["state"] in _MAILED
        }


def last_mailed(conninfo: str) -> dict[str, str]:
    """Return the last notice that was handed over to each account."""
    with connect(conninfo) as connection:
        return {
            notice["account"]: notice["notice"]
            for notice in _notices(connection)
            if notice["state"] in _MAILED
        }


def assert_alike(found: Outcome, expected: Outcome) -> None:
    """Fail with the rows that are in only one of two outcomes."""
    for kind, rows in expected.items():
        there, wanted = (Counter(map(repr, each)) for each in (found[kind], rows))
        extra, missing = list((there - wanted).elements()), list((wanted - there).elements())
        assert not extra + missing, f"{kind}: {extra[:5]} instead of {missing[:5]}"
        assert found[kind] == rows, kind


def assert_mailed_once(conninfo: str, received: Sequence[str], uncertain: Collection[str]) -> None:
    """Fail if a mail is duplicated or missing; those with an unknown outcome may be missing."""
    states = mailed(conninfo)
    twice = [notice for notice, count in Counter(received).items() if count > 1]
    assert not twice, f"mailed twice: {twice}"
    lost = states.keys() - set(received) - set(uncertain)
    lost = {notice for notice in lost if states[notice] != "unknown"}
    assert not lost, f"not mailed: {[states[notice] for notice in lost]}"
    unrecorded = set(received) - states.keys()
    assert not unrecorded, f"mailed but not recorded: {unrecorded}"


def assert_dead_lettered_once(conninfo: str) -> None:
    """Fail if a message has more than one dead letter."""
    with psycopg.connect(conninfo) as connection:
        places = Counter(connection.execute(_DEAD_LETTERS.encode()).fetchall())
    assert max(places.values(), default=1) == 1, places


def _notices(connection: psycopg.Connection[Any]) -> list[Json]:
    policies = PublishedVersions().now(connection)
    return list(list_notices(connection, Cohorts(), policies, Filters()))


def _alike(notice: Json) -> Json:
    """Leave out the notice's id; an unknown outcome counts as accepted."""
    state = notice["state"] if notice["state"] not in {"delivered", "unknown"} else "accepted"
    asks = sorted(map(repr, notice["asks"]))
    return notice | {"notice": None, "state": state, "asks": asks}
