"""Killed services, and several of each at once, give the results of a single one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from typing_extensions import override

from reconsent.bus.postgres import PostgresConsumer
from reconsent.domain.errors import OutsideError
from reconsent.domain.mail import Mail, Outcome, Recipient, Result
from reconsent.store.leases import Lease
from reconsent.store.log import lag
from reconsent.store.postgres import connect
from reconsent.workers.dispatcher import Dispatcher
from reconsent.workers.intake import GROUP, Intake
from reconsent.workers.planner import Planner
from reconsent.workers.service import Service
from tests.embedded_programs import wait_until
from tests.integration.crowd import NOW, crowd
from tests.integration.pipeline import Pipeline
from tests.integration.stage import SENDER, URL, Mailbox, Stage, stage
from tests.model.cases import SITE
from tests.model.steps import Dispatch, Plan, Record, Tombstone

Json = dict[str, Any]


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all tests of this module."""
    with stage(make_database()) as made:
        yield made


@pytest.fixture(scope="module")
def alone(place: Stage) -> tuple[list[Json], list[Json]]:
    """Return the notices after one planner, and after one dispatcher."""
    world = _gathered(place)
    world.take(Plan(now=NOW))
    planned = _notices(world)
    world.take(Dispatch(now=NOW))
    assert Counter(row["state"] for row in planned).keys() == {"due", "suppressed"}
    return planned, _notices(world)


def test_planners_resume_where_others_stopped(
    place: Stage, alone: tuple[list[Json], list[Json]]
) -> None:
    """Planners that each do one slice and end leave nothing doubled or missing."""
    world = _gathered(place)
    while Planner(place.database, slice_size=7).work():
        pass
    assert _notices(world) == alone[0]


# Plans one slice for each line of its input.
_PLANNING = """
import sys
from reconsent.store.postgres import open_database
from reconsent.workers.planner import Planner
with open_database(sys.argv[1]) as database:
    planner = Planner(database, slice_size=2)
    for _ in sys.stdin:
        planner.work()
        print(flush=True)
"""


def test_planning_resumes_after_a_kill(place: Stage, alone: tuple[list[Json], list[Json]]) -> None:
    """After SIGKILL halfway, more than once, nothing is doubled or missing."""
    world = _gathered(place)
    seen = 0
    for _ in range(2):
        # The embedded server's socket is reached through a descriptor of this process.
        conninfo = place.conninfo.replace("/proc/self/", f"/proc/{os.getpid()}/")
        with subprocess.Popen(
            [sys.executable, "-c", _PLANNING, conninfo],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as planner:
            assert planner.stdin
            assert planner.stdout
            while _count_notices(place) < seen + 20:
                print(file=planner.stdin, flush=True)
                assert planner.stdout.readline()
            # It is killed somewhere in the next slice.
            print(file=planner.stdin, flush=True)
            planner.kill()
        seen = _count_notices(place)
    assert 0 < seen < len(alone[0])
    world.take(Plan(now=NOW))
    assert _notices(world) == alone[0]


def test_two_of_each_do_what_one_does(
    place: Stage, alone: tuple[list[Json], list[Json]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two intakes, planners and dispatchers give the same facts, notices and mails."""
    monkeypatch.setattr("reconsent.workers.intake.BATCH", 20)
    monkeypatch.setattr("reconsent.workers.dispatcher.AT_MOST", 10)
    world = Pipeline(place)
    place.intake.close()
    with ExitStack() as opened:
        intakes = [_intake(place, opened) for _ in range(2)]
        world.send(crowd(150))
        _side_by_side(intakes, until=lambda: _lag(place) == 0)
    _side_by_side([Planner(place.database, slice_size=5) for _ in range(2)])
    assert _notices(world) == alone[0]
    mailbox = Mailbox()
    with ExitStack() as opened:
        _side_by_side([_dispatcher(place, opened, mailbox) for _ in range(2)])
    assert _notices(world) == alone[1]
    mailed = [to.notice for _, to in mailbox.kept]
    assert len(mailed) == len(set(mailed)) == sum(n["state"] == "accepted" for n in alone[1])


def _opting_out(name: str) -> Record:
    data = {"property": SITE, "account": name, "status": "active", "contact": "none"}
    data |= {"email": f"{name}@example.org", "updated_at": NOW.isoformat()}
    return Record(now=NOW, topic="accounts", data=data, identity=f"leaving {name}")


def _sent_to_who_opted_out(place: Stage) -> list[tuple[bool]]:
    """Return of each mail to them whether its attempt began before the opt-out was recorded."""
    with place.database.connection() as connection:
        return connection.execute(
            "SELECT started_at < recorded_at FROM notices JOIN attempts USING (attempt_id)"
            " JOIN account_history AS history USING (bucket, account_key) WHERE history.since = %s",
            (NOW,),
        ).fetchall()


def test_an_opt_out_before_the_claim_stops_the_mail(
    place: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While everyone opts out, only notices claimed before are mailed."""
    monkeypatch.setattr("reconsent.workers.dispatcher.AT_MOST", 5)
    world = _gathered(place)
    world.take(Plan(now=NOW))
    due = [row["account"] for row in world.notices() if row["state"] == "due"]
    leaving = [_opting_out(name) for name in due]
    monkeypatch.setattr("reconsent.workers.intake.BATCH", 1)

    def meanwhile() -> None:
        """Let everyone opt out during the first send; the second waits until somebody has."""
        if not mailbox.kept:
            world.send(leaving[::-1])  # in the opposite order of mailing: they meet in the middle
        else:
            wait_until(lambda: _lag(place) < len(leaving))

    mailbox = Interrupted(meanwhile=meanwhile)
    with ExitStack() as opened:
        dispatcher = _dispatcher(place, opened, mailbox)
        _side_by_side(
            [place.intake, dispatcher], until=lambda: bool(mailbox.kept) and not _lag(place)
        )
    rows = _sent_to_who_opted_out(place)
    states = Counter((row["state"], row["suppression"]) for row in world.notices())
    assert len(mailbox.kept) == len(rows) == states["accepted", None]
    assert all(claimed_before for (claimed_before,) in rows)
    assert 0 < states["accepted", None] < len(due)


@dataclass(kw_only=True)
class Interrupted(Mailbox):
    """A provider that runs an action during a send."""

    meanwhile: Callable[[], None]

    @override
    def send(self, letter: Mail, recipients: Sequence[Recipient]) -> Sequence[Result]:
        self.meanwhile()
        return super().send(letter, recipients)


@pytest.mark.parametrize(
    ("outcome", "fate"),
    [
        ("accepted", ("accepted", None, "void")),
        ("rejected", ("rejected", None, "void")),
        ("retry", ("suppressed", "deleted", "void")),
    ],
)
def test_a_deletion_during_the_hand_over(
    place: Stage, outcome: Outcome, fate: tuple[str | None, ...]
) -> None:
    """The notice is closed by the deletion, and not handed over again."""
    world = Pipeline(place)
    world.send([*crowd(0), *_asked("ann")])
    world.take(Plan(now=NOW))
    [due] = world.notices()
    deletion = Tombstone(now=NOW, key=(SITE, "ann"), at=NOW)

    def delete() -> None:
        world.send([deletion])
        world.settle()

    mailbox = Interrupted(meanwhile=delete, answers={UUID(due["notice"]): outcome})
    with ExitStack() as opened:
        dispatcher = _dispatcher(place, opened, mailbox)
        with suppress(OutsideError):
            dispatcher.work()
        assert not dispatcher.work()
    [notice] = world.notices()
    assert (notice["state"], notice["suppression"], notice["settled"]) == fate


# ---------------------------------------------------------------------- the crowd


def _gathered(place: Stage) -> Pipeline:
    world = Pipeline(place)
    world.send(crowd(150))
    world.settle()
    assert world.dead_letters() == []
    return world


def _asked(name: str) -> Iterator[Record]:
    """Yield the events of an account that is asked something."""
    who = {"property": SITE, "account": name}
    at = (NOW - timedelta(days=1)).isoformat()
    profile = {"email": f"{name}@example.org", "status": "active", "contact": "all"}
    data = {"data_category": "user.contact.email", "collected_under": "v1", "collected_at": at}
    yield Record(now=NOW, topic="accounts", data=who | profile | {"updated_at": at}, identity=name)
    yield Record(now=NOW, topic="collections", data=who | data, identity=name)


def _notices(world: Pipeline) -> list[Json]:
    return [
        {name: value for name, value in row.items() if name != "notice"} for row in world.notices()
    ]


def _count_notices(place: Stage) -> int:
    with place.database.connection() as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM notices").fetchall()
    return int(count)


def _lag(place: Stage) -> int:
    with place.database.connection() as connection:
        return sum(lag(connection, GROUP).values())


def _intake(place: Stage, opened: ExitStack) -> Intake:
    def consume() -> PostgresConsumer:
        return PostgresConsumer(partial(connect, place.conninfo, autocommit=True), GROUP)

    intake = Intake(place.database, consume, place.signer.address_hash, patience=0)
    opened.callback(intake.close)
    return intake


def _dispatcher(place: Stage, opened: ExitStack, mailbox: Mailbox) -> Dispatcher:
    lease = Lease(place.conninfo)
    opened.callback(lease.close)
    return Dispatcher(
        place.database,
        lease,
        mailbox,
        place.signer,
        public_url=URL,
        sender=SENDER,
        now=lambda: NOW,
    )


def _side_by_side(services: Sequence[Service], until: Callable[[], bool] = lambda: True) -> None:
    """Run each service in its own thread until all are idle."""
    broken: list[BaseException] = []

    def work(service: Service) -> None:
        try:
            while service.work() or not (service.idle() and until()):
                pass
        except BaseException as error:  # noqa: BLE001 -- raised by the waiting thread
            broken.append(error)

    threads = [threading.Thread(target=work, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not broken
