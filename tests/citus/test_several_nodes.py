"""The program's services work on several servers, each connected to a server of its own."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple

import psycopg
import pytest

from reconsent.domain.signing import Signer
from reconsent.facts.changes import begin_following, changes_after, follow_to, prune
from reconsent.facts.record.notice_counts import merge_counts
from reconsent.facts.record.publishing import publish
from reconsent.facts.record.standings import refresh_holdings
from reconsent.facts.restores import current_era, resume_sending
from reconsent.facts.versions import PublishedVersions
from reconsent.store.leases import Lease
from reconsent.store.postgres import Connection, Database, look_up_by_index, open_database
from reconsent.workers.dispatcher import Dispatcher
from reconsent.workers.planner import Planner
from reconsent.workers.running import run_until_idle
from reconsent.workers.scheduler import Scheduler
from tests.citus.cluster import Cluster
from tests.drafts import draft, row
from tests.filled import add_accounts, give_data
from tests.integration.stage import SENDER, URL, Mailbox

NOW: Final = datetime(2027, 1, 10, tzinfo=UTC)
ACCOUNTS: Final = 300
SLICE: Final = 50
UNWILLING: Final = ACCOUNTS // 10
WILLING: Final = ACCOUNTS - UNWILLING
V1: Final = draft(version="v1", declares=[row("user", "essential.service")])
V2: Final = draft(
    version="v2",
    follows="v1",
    declares=[row("user", "essential.service", "marketing")],
    notice={"respond_by": "P9D", "reminders": ["P7D"]},
)
_PEOPLE: Final = """
SELECT 'campaigner.example', 'a' || n, 'a' || n || '@example.org', NULL, NULL
FROM generate_series(%(first)s::integer, %(last)s) AS n
"""
_NO_MAIL: Final = "UPDATE accounts SET contact = 'none' WHERE account LIKE '%7'"
_ALL_STATES: Final = "SELECT account_key, sequence, state FROM notices"
_STATES: Final = "SELECT account_key, sequence, state FROM notices WHERE account_key = ANY(%s)"
_COUNTED: Final = """
SELECT version_id, kind, state, suppression, sum(notices)::bigint
FROM notice_counts GROUP BY version_id, kind, state, suppression HAVING sum(notices) <> 0
"""
_COUNTS: Final = """
SELECT version_id, kind, state, suppression, count(*)
FROM notices GROUP BY version_id, kind, state, suppression
"""


class Place(NamedTuple):
    """A database on several servers, seen through two of them: the coordinator and a worker."""

    addresses: Sequence[str]
    databases: Sequence[Database]

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query, which are the same through both."""
        first, second = (
            database.transaction(lambda c: c.execute(query.encode(), parameters or None).fetchall())
            for database in self.databases
        )
        assert sorted(first, key=str) == sorted(second, key=str)
        return first


class Copy:
    """What a follower of the log knows of the notices: it reads those of accounts that changed."""

    def __init__(self, database: Database, name: str) -> None:
        """Follow the log through one server from now on."""
        self._database = database
        self._name = name
        self.states: dict[tuple[int, int], str] = {}
        database.transaction(lambda c: begin_following(c, name, ["notices"]))

    def follow(self) -> bool:
        """Read what changed next; False if nothing did."""
        return self._database.transaction(self._follow)

    def sweep(self) -> None:
        """Read the notices of all accounts, as after a release: planning it logs no change."""
        self.states = {
            (key, sequence): state
            for key, sequence, state in self._database.transaction(
                lambda c: c.execute(_ALL_STATES).fetchall()
            )
        }

    def _follow(self, connection: Connection) -> bool:
        changes = changes_after(connection, self._name, "notices", 50)
        keys = [change.account_key for change in changes]
        for key, sequence, state in connection.execute(_STATES, (keys,)):
            self.states[key, sequence] = state
        follow_to(connection, self._name, "notices", changes)
        return bool(changes)


@pytest.fixture
def place(cluster: Cluster, program: str) -> Iterator[Place]:
    """Yield a database with accounts, half of them added through each server."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    cluster.copy(program, name)
    try:
        with ExitStack() as stack:
            _run_apart(cluster, name)
            addresses = [cluster.conninfo(node, name) for node in (0, 1)]
            opened = [stack.enter_context(open_database(at, size=8)) for at in addresses]
            first, second = opened
            # The tables were made again, which is a restore.
            assert second.transaction(current_era) == first.transaction(current_era) > 0
            first.transaction(resume_sending)
            first.transaction(lambda c: publish(c, V1, PublishedVersions()))
            people = partial(add_accounts, select=_PEOPLE)
            half = {"first": 1, "last": ACCOUNTS // 2}
            keys = first.transaction(partial(people, parameters=half))
            half = {"first": ACCOUNTS // 2 + 1, "last": ACCOUNTS}
            keys += second.transaction(partial(people, parameters=half))
            second.transaction(partial(_give_data, keys=keys))
            yield Place(addresses, opened)
    finally:
        cluster.drop(name)


def _run_apart(cluster: Cluster, name: str) -> None:
    """Let each server number its transactions from elsewhere, as after a while of use."""
    for node in (1, 3):
        with closing(psycopg.connect(cluster.conninfo(node, name), autocommit=True)) as connection:
            for _ in range(node * 200):
                connection.execute("SELECT pg_current_xact_id()")


def _give_data(connection: Connection, keys: Sequence[int]) -> None:
    give_data(connection)
    connection.execute(_NO_MAIL)
    refresh_holdings(connection, keys, PublishedVersions().now(connection))


def _at_once(*tasks: Callable[[], object]) -> None:
    """Run tasks side by side; raise the first error."""
    with ThreadPoolExecutor(len(tasks)) as threads:
        for task in [threads.submit(task) for task in tasks]:
            task.result()


def test_rows_are_looked_up_by_index_wherever_they_are(place: Place) -> None:
    """What a transaction sets holds on the servers that it asks, too."""
    for database in place.databases:
        with database.connection() as connection:
            look_up_by_index(connection)
            found = connection.execute("SELECT current_setting('enable_seqscan') FROM buckets")
            assert Counter(found.fetchall()) == {("off",): 64}


def test_services_on_different_servers_share_the_work(place: Place) -> None:
    """One notice and one mail for each account, and of all that follows, whoever did it."""
    copies = [Copy(database, f"copy {n}") for n, database in enumerate(place.databases)]
    run_until_idle([Planner(place.databases[1])])
    place.databases[1].transaction(lambda c: publish(c, V2, PublishedVersions()))

    _plan(place, copies)
    for copy in copies:
        copy.sweep()
    planned = place.rows("SELECT account_key, notice_id, state, suppression FROM notices")
    assert len({key for key, *_ in planned}) == len(planned) == ACCOUNTS
    assert Counter(state for *_, state, _ in planned) == {"due": WILLING, "suppressed": UNWILLING}
    due = {str(notice_id) for _, notice_id, state, _ in planned if state == "due"}

    assert _dispatch(place, copies, NOW) == dict.fromkeys(due, 1)
    _check(place, copies)

    _let_time_pass(place, copies, NOW + timedelta(days=7, hours=1))
    reminders = place.rows("SELECT notice_id, about FROM notices WHERE about IS NOT NULL")
    assert Counter(str(about) for _, about in reminders) == dict.fromkeys(due, 1)
    sent = _dispatch(place, copies, NOW + timedelta(days=7, hours=1))
    assert sent == {str(notice_id): 1 for notice_id, _ in reminders}
    _check(place, copies)

    _let_time_pass(place, copies, NOW + timedelta(days=10))
    expired = place.rows("SELECT notice_id, answer FROM consents")
    assert Counter((str(notice), said) for notice, said in expired) == {
        (notice, "expired"): 1 for notice in due
    }
    _plan(place, copies)
    became = place.rows("SELECT settled FROM notices WHERE kind = 'choice'")
    assert Counter(settled for (settled,) in became) == {"expired": WILLING, None: UNWILLING}
    _check(place, copies)

    for database in reversed(place.databases):
        while database.transaction(lambda c: prune(c, 20_000)):
            pass
    assert place.rows("SELECT DISTINCT stream FROM changes") == []


def _plan(place: Place, copies: Sequence[Copy]) -> None:
    """Let a planner on each server plan all there is."""
    planners = [Planner(database, slice_size=SLICE) for database in place.databases]
    _at_once(*(partial(run_until_idle, [planner]) for planner in planners), *_following(copies))


def _dispatch(place: Place, copies: Sequence[Copy], now: datetime) -> Counter[str]:
    """Let a dispatcher on each server send what is due; return how often each notice was sent."""
    boxes = [Mailbox(at_most=20), Mailbox(at_most=20)]
    with ExitStack() as stack:
        dispatchers = [
            _dispatcher(database, stack.enter_context(closing(Lease(address))), box, now)
            for database, address, box in zip(place.databases, place.addresses, boxes, strict=True)
        ]
        _at_once(*(partial(run_until_idle, [one]) for one in dispatchers), *_following(copies))
    return Counter(to.notice for box in boxes for _, to in box.kept)


def _let_time_pass(place: Place, copies: Sequence[Copy], now: datetime) -> None:
    """Let a scheduler on each server do what the time brings."""
    schedulers = [
        Scheduler(database, lambda: now, delivery="at_most_once", settle_after=timedelta(days=3))
        for database in place.databases
    ]
    _at_once(*(partial(run_until_idle, [one]) for one in schedulers), *_following(copies))


def _check(place: Place, copies: Sequence[Copy]) -> None:
    """Compare counts with notices, and what the log told its followers with the present states."""
    assert sorted(place.rows(_COUNTED), key=str) == sorted(place.rows(_COUNTS), key=str)
    place.databases[1].transaction(lambda c: merge_counts(c, at_least=1))
    assert sorted(place.rows(_COUNTED), key=str) == sorted(place.rows(_COUNTS), key=str)
    now = {(key, sequence): state for key, sequence, state in place.rows(_ALL_STATES)}
    for copy in copies:
        while copy.follow():
            pass
        assert copy.states == now


def _following(copies: Sequence[Copy]) -> list[Callable[[], object]]:
    return [partial(_follow_a_while, copy) for copy in copies]


def _follow_a_while(copy: Copy) -> None:
    for _ in range(20):
        copy.follow()


def _dispatcher(database: Database, lease: Lease, box: Mailbox, now: datetime) -> Dispatcher:
    return Dispatcher(
        database,
        lease,
        box,
        Signer("secret of the tests"),
        public_url=URL,
        sender=SENDER,
        now=lambda: now,
    )
