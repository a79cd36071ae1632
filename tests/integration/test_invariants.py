"""Invariants in random worlds, checked in PostgreSQL itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from random import Random
from typing import Any, Final

import psycopg
import pytest
from hypothesis import given, settings
from psycopg import sql

from reconsent.domain.consent import standing
from reconsent.domain.policy import PolicyVersion
from reconsent.facts.ledgers import read_ledgers
from reconsent.facts.sets import as_standing
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Connection, Database
from reconsent.workers.preview import Preview, preview
from reconsent.workers.preview_mails import mails
from tests.integration.messages import MESSAGES, interleaved
from tests.integration.pipeline import Both, Pipeline
from tests.integration.stage import Stage, stage
from tests.model.policies import CATEGORIES, SEEDS, USES
from tests.model.rules import World
from tests.model.steps import Dispatch, Plan, Player, Publish, Step, every_permit
from tests.model.worlds import NO_MAIL, stories

few = settings(max_examples=settings().max_examples // 12)


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all tests of this module."""
    with stage(make_database()) as made:
        yield made


@pytest.mark.parametrize("table", ["consents", "account_history", "policy_versions"])
@pytest.mark.parametrize("change", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0}"])
def test_append_only_tables_refuse_changes(database: Database, table: str, change: str) -> None:
    """The ledger, the accounts' history and the published versions refuse every change."""
    columns = {"consents": "answer", "account_history": "status", "policy_versions": "document"}
    # TRUNCATE is refused earlier if other tables refer to this one.
    cascade = " CASCADE" if change.startswith("TRUNCATE") else ""
    statement = sql.SQL(change + cascade).format(
        sql.Identifier(table), sql.Identifier(columns[table])
    )
    with database.connection() as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(statement)


@few
@given(story=stories(rejections=True))
def test_the_standing_is_the_ledger_replayed(place: Stage, story: Sequence[Step]) -> None:
    """Each account's standing follows from its ledger, its holdings from its collections."""
    both = Both(place)
    both.play(story)
    with place.database.connection() as connection:
        policies = PublishedVersions().now(connection)
        rows = connection.execute(
            "SELECT account_key, standings.members, holdings.members, status"
            " FROM accounts JOIN account_sets USING (bucket, account_key)"
            " JOIN standings USING (standing_id) JOIN holdings USING (holdings_id)"
        ).fetchall()
        found = read_ledgers(connection, [row[0] for row in rows], policies)
        for key, decisions, holds, status in rows:
            assert as_standing(decisions) == (standing(found[key]) if key in found else ())
            collected = _collected(connection, key) if status != "deleted" else set()
            assert {tuple(member) for member in holds} == collected


def _collected(connection: Connection, key: int) -> set[tuple[Any, ...]]:
    return set(
        connection.execute(
            "SELECT data_category, collected_under FROM held_collections WHERE account_key = %s",
            (key,),
        ).fetchall()
    )


@few
@given(story=stories(rejections=True))
def test_each_asked_account_has_one_open_notice(place: Stage, story: Sequence[Step]) -> None:
    """After planning, each account with an ask has one open notice; no other account has any.

    So the open notices of a release add up to the accounts that it asks.
    """
    both = Both(place)
    both.play(story)
    both.take(Plan(now=story[-1].now))
    opened = Counter(
        (row["property"], row["account"])
        for row in both.real.notices()
        if row["kind"] == "choice" and row["settled"] is None
    )
    assert opened == Counter(key for key in both.world.known() if both.world.ask(key))


@few
@given(story=stories(rejections=True))
def test_a_preview_counts_what_the_rules_say(place: Stage, story: Sequence[Step]) -> None:
    """A preview of each version equals the model's, and adds up to all accounts."""
    both = Both(place)
    for step in story:
        if isinstance(step, Publish) and not _is_published(both.world, step):
            both.real.settle()
            found = preview(place.database, PolicyVersion.model_validate(step.document))
            counts = both.world.preview(step.document)
            assert {name: getattr(found, name) for name in counts} == counts
            told = found.choice + found.information + sum(found.suppressed.values())
            assert found.accounts == told + found.untouched
            _check_mails(place, step, found)
        both.take(step)


def _check_mails(place: Stage, step: Publish, found: Preview) -> None:
    """Each previewed mail has readers, and they are exactly those who would be mailed."""
    version = PolicyVersion.model_validate(step.document)
    previewed = mails(place.database, version)
    sent = Counter[str]()
    for mail in previewed:
        assert mail.accounts > 0
        assert mail.locale in version.texts
        assert bool(mail.ask) == (mail.kind == "choice")
        sent[mail.kind] += mail.accounts
    assert sent == +Counter({"choice": found.choice, "information": found.information})
    assert len({(mail.kind, mail.ask, mail.locale) for mail in previewed}) == len(previewed)
    counts = [mail.accounts for mail in previewed]
    assert counts == sorted(counts, reverse=True)


def _is_published(world: World, step: Publish) -> bool:
    line = world.lines.get(step.document["policy"], [])
    return step.document["version"] in [version["version"] for version in line]


@few
@given(story=stories(rejections=True), seed=SEEDS)
def test_replaying_everything_changes_nothing(
    place: Stage, story: Sequence[Step], seed: int
) -> None:
    """Replaying every message, in any interleaving of topics, changes nothing and sends nothing."""
    both, now = Both(place), story[-1].now
    both.play([*story, Plan(now=now), Dispatch(now=now)])
    real = both.real
    before = _everything(place), real.notices()
    for step in interleaved((s for s in story if isinstance(s, MESSAGES)), Random(seed)):
        real.take(step)
    real.take(Plan(now=now))
    assert real.take(Dispatch(now=now)) == []
    assert (_everything(place), real.notices()) == before


# What a deletion covers is history, and the embedded bus may erase it before it is read.
_SINCE_DELETION: Final = """
SELECT to_jsonb(row) AS fact FROM {} AS row JOIN accounts USING (bucket, account_key)
WHERE deleted_at IS NULL OR {} > deleted_at ORDER BY 1
"""
_DATED: Final = {
    "collections": "collected_at",
    "collection_erasures": "erased_at",
    "account_history": "since",
}

_WERE_MINORS: Final = "SELECT DISTINCT account_key FROM account_history WHERE minor"


def _everything(place: Stage) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the facts, without the transaction that wrote it."""
    tables = ("accounts", "consents", "notices", "mail_events", "mailbox_marks", "policy_versions")
    with place.database.connection() as connection:
        found = {
            table: connection.execute(
                sql.SQL("SELECT to_jsonb(row) AS fact FROM {} AS row ORDER BY 1").format(
                    sql.Identifier(table)
                )
            ).fetchall()
            for table in tables
        }
        found |= {
            table: connection.execute(
                sql.SQL(_SINCE_DELETION).format(sql.Identifier(table), sql.Identifier("row", time))
            ).fetchall()
            for table, time in _DATED.items()
        }
        were_minors = set(connection.execute(_WERE_MINORS).fetchall())
    for (account,) in found["accounts"]:
        since = account.pop("address_since") or account["updated_at"]
        # What an account named before it was a minor's is forgotten then; a replay knows it.
        if account["address_hash"] and (account["account_key"],) not in were_minors:
            account["address_since"] = since
    assert any(found.values())
    return found


@few
@given(story=stories(leave_out=NO_MAIL), seed=SEEDS)
def test_facts_do_not_depend_on_the_interleaving(
    place: Stage, story: Sequence[Step], seed: int
) -> None:
    """Any interleaving of topics and accounts, with each message doubled, gives the same facts."""
    messages: list[Step] = [step for step in story if isinstance(step, MESSAGES)]
    player, real = Player(), Pipeline(place)
    for step in messages:
        player.take(step)
    for step in interleaved(messages, Random(seed)):
        real.take(step)
        real.take(step)
    questions = list(every_permit(player.world, CATEGORIES, USES, story[-1].now))
    for question, answer in zip(questions, real.permits(questions), strict=True):
        assert answer == player.take(question), question
    assert real.dead_letters() == []
    assert sorted(real.erasures(), key=str) == sorted(player.world.erasures(), key=str)


@few
@given(story=stories(rejections=True))
def test_no_address_of_deleted_accounts_or_minors_is_left(
    place: Stage, story: Sequence[Step]
) -> None:
    """Neither accounts nor the bus keep the name or address of a deleted account or a minor."""
    both = Both(place)
    both.play(story)
    with place.database.connection() as connection:
        rows = connection.execute(
            "SELECT property || '/' || account, deleted_at, minor, status, updated_at, email, name"
            " FROM accounts WHERE deleted_at IS NOT NULL OR minor"
        ).fetchall()
        messages = connection.execute(
            "SELECT convert_from(key, 'UTF8'), convert_from(value, 'UTF8') FROM bus_messages"
            " WHERE topic LIKE 'accounts%' AND value IS NOT NULL"
        ).fetchall()
    for key, deleted_at, minor, status, updated_at, *address in rows:
        if minor or status == "deleted":
            assert address == [None, None]
        for value in (json.loads(value) for name, value in messages if name == key):
            told = value.get("data", value)
            at = datetime.fromisoformat(told["updated_at"])
            if (deleted_at and at <= deleted_at) or (minor and at <= updated_at):
                assert told.get("email") is None
                assert told.get("name") is None
