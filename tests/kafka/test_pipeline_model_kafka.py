"""Random worlds through Kafka agree with the naive model of the rules on everything."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from reconsent.bus.kafka.consumer import KafkaConsumer
from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.bus.kafka.topics import create
from reconsent.domain.bus import Batch
from reconsent.domain.event import TOPICS
from reconsent.store.offsets import take_over_idle
from reconsent.workers.intake import GROUP
from tests.integration.stage import Stage, stage
from tests.integration.test_pipeline_model import agree
from tests.kafka.layouts import of_any_time
from tests.model.steps import Step
from tests.model.worlds import stories

pytestmark = pytest.mark.engines


class _Dated(KafkaConsumer):
    """A consumer of messages whose times are those of the worlds' steps."""

    @override
    def poll(
        self, limit: int, timeout: float, without: Collection[str] = frozenset()
    ) -> Batch | None:
        batch = super().poll(limit, timeout, without)
        if batch is None:
            return None
        return replace(batch, messages=[one._replace(appended=True) for one in batch.messages])


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str], module_settings: KafkaSettings) -> Iterator[Stage]:
    """Yield a place for worlds whose bus is Kafka."""
    # One partition each, so that a world takes few polls.
    create(module_settings, of_any_time(TOPICS, partitions=1))
    conninfo = make_database()
    take_over = partial(take_over_idle, conninfo, GROUP)
    with (
        closing(KafkaProducer(module_settings)) as producer,
        stage(conninfo, producer, lambda: _Dated(module_settings, take_over, GROUP)) as made,
    ):
        yield made


@settings(max_examples=3)
@given(story=stories(rejections=True), together=st.booleans())
def test_pipeline_agrees_with_the_model(
    place: Stage, story: Sequence[Step], *, together: bool
) -> None:
    """Mails, pages, clicks, notices, ledgers, erasures and permissions are the model's."""
    agree(place, story, together=together)
