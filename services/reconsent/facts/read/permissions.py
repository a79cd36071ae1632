"""Permission checks, answered from the recorded facts. RULES 20 to 26.

The rules are asked once for all checks that they answer alike. An answer does not depend on the
account's name, and on the time only in so far as versions have become effective by then.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic_core import to_json

from reconsent.domain.account import Contact, PermissionSubject, Status
from reconsent.domain.permission import Permission, permit
from reconsent.domain.times import rfc3339
from reconsent.domain.use import Use, covers, meet
from reconsent.facts.ledgers import read_ledgers
from reconsent.facts.read.ledger import ledger_json
from reconsent.facts.remembered import Remembered
from reconsent.facts.versions import Policies
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconsent.domain.consent import Decision
    from reconsent.facts.read.checks import CheckFields
    from reconsent.facts.sets import Cohorts
    from reconsent.store.postgres import Connection

SQL = named("read/permissions")
_REMEMBERED: Final = 50_000
_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)


class _Subject(NamedTuple):
    """What an account's permissions depend on."""

    status: Status
    contact: Contact
    minor: bool
    standing_id: int


class _Question(NamedTuple):
    """All that an answer depends on, given the published versions.

    `subject` is None where there is no such account; `effective` counts the policy's versions that
    are effective at the time.
    """

    property: str
    effective: int
    subject: tuple[Any, ...] | None
    data_category: str
    collected_under: str | None
    data_use: str
    recipient: str | None


class _Words(NamedTuple):
    """An answer in JSON: what comes before the account's name, and from there to the time."""

    before_account: bytes
    before_time: bytes


class _Answers:
    """The answers under the same published versions."""

    def __init__(self, policies: Policies) -> None:
        self.policies = policies
        self.words = Remembered[tuple[Any, ...], _Words](_REMEMBERED)
        self._times: dict[str, list[datetime]] = {
            policy.name: sorted(version.effective_at for version in policy.versions)
            for policy in policies.by_name.values()
        }

    def effective(self, name: str, at: datetime) -> int:
        """Count the versions of a property's policy that are effective at a time."""
        return bisect_right(self._times.get(self.policies.owners.get(name, ""), ()), at)

    def time(self, name: str, effective: int) -> datetime:
        """Return the first time at which as many versions are effective."""
        if not effective:
            return _BEFORE_ALL
        return self._times[self.policies.owners[name]][effective - 1]


class Permissions:
    """Answers permission checks; threads may share one.

    It remembers answers until a version is published. Once one becomes effective, others are asked
    for.
    """

    def __init__(self, cohorts: Cohorts) -> None:
        """Start without having answered any."""
        self._cohorts = cohorts
        self._answers = _Answers(Policies())

    def answer(
        self,
        connection: Connection,
        checks: Sequence[CheckFields],
        policies: Policies,
        now: datetime,
        *,
        evidence: bool = False,
    ) -> list[bytes]:
        """Return the answer to each check in order, as JSON."""
        answers = self._under(policies)
        rows = _accounts(connection, checks)
        questions = _questions(checks, rows, answers, now)
        find = partial(self._decide, connection, answers)
        words = answers.words.look_up(questions, find)
        ends = [b"}"] * len(checks)
        if evidence:
            ends = self._evidence(connection, answers, questions, rows)
        current = to_json(rfc3339(now))
        found = []
        for check, question, end in zip(checks, questions, ends, strict=True):
            before_account, before_time = words[question]
            at = check.get("at")
            found.append(
                before_account
                + to_json(check["account"])
                + before_time
                + (to_json(rfc3339(at)) if at else current)
                + end
            )
        return found

    def _under(self, policies: Policies) -> _Answers:
        """Return the answers under these versions; forget those under others."""
        answers = self._answers
        if answers.policies is not policies:
            answers = self._answers = _Answers(policies)
        return answers

    def _decide(
        self, connection: Connection, answers: _Answers, unknown: list[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], _Words]:
        standings = self._standings(connection, unknown)
        return {asked: _words(_Question(*asked), answers, standings) for asked in unknown}

    def _standings(
        self, connection: Connection, questions: Iterable[tuple[Any, ...]]
    ) -> dict[int, tuple[Decision, ...]]:
        subjects = {question[2] for question in questions}
        return self._cohorts.standings(
            connection, {_Subject(*one).standing_id for one in subjects if one}
        )

    def _evidence(
        self,
        connection: Connection,
        answers: _Answers,
        questions: Sequence[tuple[Any, ...]],
        rows: Sequence[tuple[Any, ...] | None],
    ) -> list[bytes]:
        """Return the end of each answer, with what it is based on."""
        standings = self._standings(connection, questions)
        keys = sorted({row[1] for row in rows if row})
        ledgers = read_ledgers(connection, keys, answers.policies)
        entries = {key: ledger_json(connection, key, one) for key, one in ledgers.items()}
        found = []
        for asked, row in zip(questions, rows, strict=True):
            use, permission = _permit(_Question(*asked), answers, standings)
            evidence = _evidence(permission, entries.get(row[1], []) if row else [], use)
            found.append(b',"evidence":' + to_json(evidence) + b"}")
        return found


def _accounts(
    connection: Connection, checks: Sequence[CheckFields]
) -> list[tuple[Any, ...] | None]:
    """Return (position, account_key, *subject) of the account of each check; None of unknown ones.

    No name has a control character, so that a newline can separate them.
    """
    wanted = {
        "properties": "\n".join([check["property"] for check in checks]),
        "accounts": "\n".join([check["account"] for check in checks]),
    }
    found: list[tuple[Any, ...] | None] = [None] * len(checks)
    for row in connection.execute(SQL["many"], wanted).fetchall():
        found[row[0] - 1] = row
    return found


def _questions(
    checks: Sequence[CheckFields],
    rows: Sequence[tuple[Any, ...] | None],
    answers: _Answers,
    now: datetime,
) -> list[tuple[Any, ...]]:
    """Return what decides each check, in the order of `_Question`, as plain tuples: many."""
    effective_now = {
        name: answers.effective(name, now) for name in {check["property"] for check in checks}
    }
    questions = []
    for check, row in zip(checks, rows, strict=True):
        given, name = check.get, check["property"]
        at = given("at")
        questions.append(
            (
                name,
                answers.effective(name, at) if at else effective_now[name],
                row[2:] if row else None,
                check["data_category"],
                given("collected_under"),
                check["data_use"],
                given("recipient"),
            )
        )
    return questions


def _permit(
    question: _Question, answers: _Answers, standings: dict[int, tuple[Decision, ...]]
) -> tuple[Use, Permission]:
    """Ask the rules; without a recipient, about the controller in force."""
    at = answers.time(question.property, question.effective)
    policy = answers.policies.of_property(question.property)
    recipient = question.recipient or (policy.in_force(at).controller if policy else "")
    use = Use(question.data_category, question.collected_under, question.data_use, recipient)
    account = None
    if question.subject is not None:
        one = _Subject(*question.subject)
        account = PermissionSubject(
            status=one.status,
            contact=one.contact,
            minor=one.minor,
            decisions=standings[one.standing_id],
        )
    return use, permit(account, policy, use, at)


def _words(
    question: _Question, answers: _Answers, standings: dict[int, tuple[Decision, ...]]
) -> _Words:
    use, permission = _permit(question, answers, standings)
    before_account = {
        "allowed": permission.allowed,
        "reason": permission.reason,
        "suppression": permission.suppression,
        "property": question.property,
    }
    before_time = {
        "data_category": use.data_category,
        "collected_under": use.collected_under,
        "data_use": use.data_use,
        "recipient": use.recipient or None,
    }
    return _Words(
        to_json(before_account)[:-1] + b',"account":',
        b"," + to_json(before_time)[1:-1] + b',"at":',
    )


def _evidence(
    permission: Permission, entries: Sequence[dict[str, Any]], use: Use
) -> dict[str, Any]:
    """Return the rule, the version and the ledger entries that a permission is based on."""
    rests_on = permission.decision
    relevant = [
        entry
        for entry in entries
        if rests_on
        and entry["event_state"] == rests_on.event_state
        and (meet(_named(entry), use) or covers(_named(entry), rests_on.use))
    ]
    return {"rule": permission.rule, "policy_version": permission.version, "consents": relevant}


def _named(entry: dict[str, Any]) -> Use:
    fields = ("data_category", "collected_under", "data_use", "recipient")
    return Use(*(entry[field] for field in fields))
