"""The remembered answers are those of the plain rules, in random worlds as they change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconsent.domain.account import PermissionSubject
from reconsent.domain.permission import permit
from reconsent.domain.times import rfc3339
from reconsent.domain.use import Use
from reconsent.facts.read.permissions import Permissions
from reconsent.facts.sets import Cohorts, as_standing
from reconsent.facts.versions import Policies, PublishedVersions
from reconsent.store.postgres import Connection
from tests.integration.pipeline import Both
from tests.integration.stage import Stage, stage
from tests.model.policies import CATEGORIES, SEEDS, USES
from tests.model.steps import Plan, Step, every_permit
from tests.model.worlds import NO_MAIL, stories

_AT_ONCE = 100
_SUBJECTS = """
SELECT property, account, status, contact, minor, members
FROM accounts JOIN account_sets USING (bucket, account_key) JOIN standings USING (standing_id)
"""
_INSTANT = timedelta(microseconds=1)
few = settings(max_examples=settings().max_examples // 8)


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all tests of this module."""
    with stage(make_database()) as made:
        yield made


@few
@given(story=stories(leave_out=NO_MAIL), seed=SEEDS, proven=st.booleans())
def test_answers_are_those_of_the_rules(
    place: Stage, story: Sequence[Step], seed: int, *, proven: bool
) -> None:
    """Over publications, changed decisions and accounts, and as versions become effective."""
    both = Both(place)
    permissions, versions, chance = Permissions(Cohorts()), PublishedVersions(), Random(seed)
    for step in story:
        both.take(step)
        both.real.settle()
        with place.database.connection() as connection:
            policies = versions.now(connection)
            now = chance.choice([step.now, *_around_effective_dates(policies)])
            checks = [_some_time(check, policies, chance) for check in _checks(both, step, chance)]
            subjects = _subjects(connection)
            found = permissions.answer(connection, checks, policies, now, evidence=proven)
            for check, given_answer in zip(checks, found, strict=True):
                answer = json.loads(given_answer)
                proof = answer.pop("evidence", None)
                expected, rule = _plainly(subjects, check, policies, now)
                assert answer == expected
                assert list(answer) == list(expected)
                assert (proof and proof["rule"]) == (rule if proven else None)
    both.take(Plan(now=story[-1].now))


def _checks(both: Both, step: Step, chance: Random) -> list[dict[str, Any]]:
    asked = list(every_permit(both.world, CATEGORIES, USES, step.now))
    fields = ("data_category", "collected_under", "data_use", "recipient")
    return [
        {"property": one.key[0], "account": one.key[1]}
        | {
            name: value
            for name in fields
            if (value := getattr(one, name)) is not None or chance.random() < 0.5
        }
        for one in chance.sample(asked, min(_AT_ONCE, len(asked)))
    ]


def _some_time(check: dict[str, Any], policies: Policies, chance: Random) -> dict[str, Any]:
    """Ask about the present more often than about a given time."""
    times = [None, None, *_around_effective_dates(policies)]
    at = chance.choice(times) if chance.random() < 0.5 else None
    return check | {"at": at} if at or chance.random() < 0.5 else check


def _around_effective_dates(policies: Policies) -> list[datetime]:
    dates = [version.effective_at for version in policies.versions.values()]
    return [date + shift for date in dates for shift in (-_INSTANT, _INSTANT * 0, _INSTANT)]


def _subjects(connection: Connection) -> dict[tuple[str, str], PermissionSubject]:
    return {
        (site, account): PermissionSubject(
            status=status, contact=contact, minor=minor, decisions=as_standing(members)
        )
        for site, account, status, contact, minor, members in connection.execute(_SUBJECTS)
    }


def _plainly(
    subjects: dict[tuple[str, str], PermissionSubject],
    check: dict[str, Any],
    policies: Policies,
    now: datetime,
) -> tuple[dict[str, Any], int]:
    """Ask the rules about one check, with nothing remembered; return the rule as well."""
    subject = subjects.get((check["property"], check["account"]))
    at = check.get("at") or now
    policy = policies.of_property(check["property"])
    controller = policy.in_force(at).controller if policy else ""
    recipient = check.get("recipient") or controller
    use = Use(check["data_category"], check.get("collected_under"), check["data_use"], recipient)
    permission = permit(subject, policy, use, at)
    answer = {
        "allowed": permission.allowed,
        "reason": permission.reason,
        "suppression": permission.suppression,
        "property": check["property"],
        "account": check["account"],
        "data_category": use.data_category,
        "collected_under": use.collected_under,
        "data_use": use.data_use,
        "recipient": use.recipient or None,
        "at": rfc3339(at),
    }
    return answer, permission.rule
