"""A service's connection, a producer and consumers of the embedded bus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial

import pytest

from reconsent.bus.postgres import PostgresConsumer, PostgresProducer
from reconsent.store import log
from reconsent.store.postgres import Connection, connect
from tests.bus_contract import Join, Lag
from tests.kafka.events import GROUP


@pytest.fixture
def connection(conninfo: str) -> Iterator[Connection]:
    """Return the connection of a service."""
    with connect(conninfo) as opened:
        yield opened


@pytest.fixture
def producer(conninfo: str) -> Iterator[PostgresProducer]:
    """Return a producer."""
    made = PostgresProducer(partial(connect, conninfo))
    yield made
    made.close()


@pytest.fixture
def join(conninfo: str) -> Iterator[Join]:
    """Return a factory of consumers, which are closed at the end."""
    with ExitStack() as stack:

        def made(*topics: str, group: str = GROUP) -> PostgresConsumer:
            connect_anew = partial(connect, conninfo, autocommit=True)
            return stack.enter_context(closing(PostgresConsumer(connect_anew, group, topics)))

        yield made


@pytest.fixture
def lag(connection: Connection) -> Lag:
    """Return a function that counts the group's lag."""
    return partial(log.lag, connection, GROUP)
