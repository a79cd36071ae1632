"""The relay publishes the true state, in random worlds, over a bus that breaks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from reconsent.domain.bus import Message
from reconsent.domain.errors import OutsideError
from reconsent.domain.use import Use
from reconsent.facts.published.state import PublishedState
from reconsent.facts.restores import current_era, record_lost_time
from reconsent.facts.sets import Cohorts
from reconsent.store.leases import SoleRight
from reconsent.store.postgres import Connection
from reconsent.workers.planner import Planner
from reconsent.workers.relay import Relay, outlets
from reconsent.workers.running import run_until_idle
from tests.integration.crowd import crowd
from tests.integration.others import Others, lists
from tests.integration.pipeline import Both, Pipeline
from tests.integration.stage import URL, Stage, stage
from tests.model.policies import CATEGORIES, USES
from tests.model.steps import Permit, Plan, Record, Step, every_permit
from tests.model.worlds import stories

_LAPSE = "UPDATE leases SET until = clock_timestamp() WHERE name = 'relay permissions'"
few = settings(max_examples=settings().max_examples // 20)
breaks = st.lists(st.none() | st.integers(0, 5), max_size=12)


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all tests of this module."""
    with stage(make_database()) as made:
        yield made


def relays(place: Stage, others: Others, page: int = 3) -> list[Relay]:
    """Return a relay for each topic, with small pages."""
    return [
        Relay(
            place.database,
            outlet,
            SoleRight(place.conninfo, f"relay {outlet.topic}"),
            lambda: others,
            source=URL,
            now=place.now,
            page=page,
        )
        for outlet in outlets(PublishedState(Cohorts()))
    ]


def publish(publishing: Sequence[Relay]) -> None:
    """Publish everything, with retries if the bus breaks."""
    while True:
        try:
            run_until_idle(publishing)
        except OutsideError:
            continue
        return


@few
@given(story=stories(rejections=True), broken=breaks, often=st.integers(1, 5))
def test_readers_have_the_true_state(
    place: Stage, story: Sequence[Step], broken: Sequence[int | None], often: int
) -> None:
    """The last value of each key is what the commands print, whatever failed on the way."""
    both = Both(place)
    others = Others(broken)
    publishing = relays(place, others)
    try:
        for number, step in enumerate(story):
            both.take(step)
            if number % often == 0:
                publish(publishing)
        both.take(Plan(now=story[-1].now))
        both.real.settle()
        publish(publishing)
    finally:
        for relay in publishing:
            relay.close()
    _compare(both, others, story[-1])


def test_a_message_that_may_have_arrived_is_corrected(place: Stage) -> None:
    """If the state reverts after a message that may have arrived, it is published again."""
    pipeline = Pipeline(place)
    others = Others([None, 1])
    publishing = relays(place, others)[0]
    pipeline.take(_collection("user.contact", 1), None, None)
    pipeline.settle()
    publish([publishing])
    pipeline.take(_collection("user.payment", 2), None, None)
    pipeline.settle()
    with pytest.raises(OutsideError):
        publishing.work()
    pipeline.take(_collection("user.payment", 3, erased=True), None, None)
    pipeline.settle()
    publish([publishing])
    publishing.close()
    [(_, value)] = others.told("permissions").values()
    assert [held["data_category"] for held in value["permissions"]] == ["user.contact"]


def test_everything_is_published_again_after_a_restore(
    place: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That includes the first page, if the restore is recorded in the middle of a step."""
    pipeline = Pipeline(place)
    pipeline.take(_collection("user.contact", 1), None, None)
    pipeline.settle()
    others = Others()
    publishing = relays(place, others)[0]
    publish([publishing])

    def look_too_early(connection: Connection) -> int:
        era = current_era(connection)
        monkeypatch.undo()
        place.database.transaction(record_lost_time)
        return era

    monkeypatch.setattr("reconsent.workers.relay.current_era", look_too_early)
    assert publishing.idle()
    publish([publishing])
    publishing.close()
    first, second = (dict(message.headers)["ce_id"] for message in others.read["permissions"])
    assert first != second


@pytest.mark.parametrize("planned_before", [0, 3])
def test_notices_follow_behind_their_planning(place: Stage, planned_before: int) -> None:
    """A relay that overtakes the planner, or begins in the midst of a release, misses no notice."""
    world = Pipeline(place)
    world.send(crowd(100))
    world.settle()
    others = Others()
    every = relays(place, others, page=10)
    publishing = [one for one in every if one._outlet.topic == "notices"]  # noqa: SLF001
    planner = Planner(place.database, slice_size=5)
    for _ in range(planned_before):
        assert planner.work()
    told_first = []
    while planner.work():
        publish(publishing)
        told_first.append(len(others.told("notices")))
    publish(publishing)
    for relay in publishing:
        relay.close()
    assert others.told("notices").keys() == {str(row["notice"]) for row in world.notices()}
    # It does not wait for the end.
    assert 0 < told_first[0] < told_first[-1]


@pytest.mark.parametrize("lost", ["its connection", "its time"])
def test_one_relay_at_a_time(place: Stage, lost: str) -> None:
    """A second relay publishes nothing; after a takeover the first one's page is not recorded."""
    pipeline = Pipeline(place)
    pipeline.take(_collection("user.contact", 1), None, None)
    pipeline.settle()
    others = Others()
    second = relays(place, others)[0]

    class TakenOver(Others):
        """A bus during whose send another relay takes over."""

        @override
        def send(self, messages: Sequence[Message]) -> None:
            assert not second.work()
            assert second.idle()
            if lost == "its connection":
                first_right.close()
            else:
                with place.database.connection() as connection:
                    connection.execute(_LAPSE)
            publish([second])
            super().send(messages)

    slow = TakenOver()
    first = relays(place, slow)[0]
    first_right = first._right  # noqa: SLF001 -- lost as if its connection were
    assert first.work()  # fenced
    assert not first.work()
    second.close()
    publish([first])
    first.close()
    assert len(others.read["permissions"]) == 1
    assert slow.told("permissions") == others.told("permissions")


def _collection(category: str, day: int, *, erased: bool = False) -> Record:
    at = datetime(2027, 1, day, tzinfo=UTC)
    data = {
        "property": "site.example",
        "account": "ann",
        "data_category": category,
        "collected_under": "v1",
        "erased": erased,
        "collected_at": at.isoformat(),
    }
    return Record(now=at, topic="collections", data=data, identity=f"{category} {day}")


def _compare(both: Both, others: Others, last: Step) -> None:
    real = both.real
    listed = {row["notice"]: row for row in real.notices()}
    assert {name: row for name, (_, row) in others.told("notices").items()} == listed
    entries = others.told("consents").values()
    permissions = dict(others.told("permissions").values())
    for key in sorted(both.world.known()):
        name = "/".join(key)
        published = Counter(_text(entry) for of, entry in entries if of == name)
        assert published == Counter(_text(entry) for entry in real.consents(*key)), key
        assert name in permissions
    assert permissions.keys() == {"/".join(key) for key in both.world.known()}
    # Of a use refused in part, the rest is listed only where it has been named.
    refusing = {
        key
        for key in both.world.known()
        for entry in real.consents(*key)
        if entry["event_state"] in {"ConsentRefused", "ConsentWithdrawn"}
    }
    for now in (last.now, last.now + timedelta(days=4000)):
        questions = [
            question
            for question in every_permit(both.world, CATEGORIES, USES, now)
            if "/".join(question.key) in permissions and question.recipient
        ]
        for question, (allowed, reason, _) in zip(questions, real.permits(questions), strict=True):
            value = permissions["/".join(question.key)]
            if reason == "account_deleted":
                assert value is None
                continue
            seen = value is not None and lists(value, _use(question), now)
            if seen:
                assert allowed, (question, value)
            elif allowed and question.key not in refusing:
                assert not _held(value, question), (question, reason, value)


def _use(question: Permit) -> Use:
    return Use(
        question.data_category,
        question.collected_under,
        question.data_use,
        question.recipient or "",
    )


def _held(value: dict[str, Any], question: Permit) -> bool:
    """Return whether the account holds the data of a question, or broader data."""
    return any(
        held["collected_under"] == question.collected_under
        and f"{question.data_category}.".startswith(f"{held['data_category']}.")
        for held in value["permissions"]
    )


def _text(entry: dict[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True)
