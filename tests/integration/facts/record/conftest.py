"""What the tests of recording share within a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from reconsent.store.postgres import Database, open_database
from tests.integration.informing import Informing
from tests.integration.stage import Stage, stage


@pytest.fixture(scope="module")
def place(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all tests of a module."""
    with stage(make_database()) as made:
        yield made


@pytest.fixture
def informing(place: Stage) -> Informing:
    """Return an empty world with its first version."""
    return Informing(place)


@pytest.fixture(scope="module")
def shared(make_database: Callable[[], str]) -> Iterator[Database]:
    """Yield a database for many examples, each about accounts of its own."""
    with open_database(make_database()) as made:
        yield made
