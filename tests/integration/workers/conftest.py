"""What the tests of sending share within a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.integration.sending import Sending
from tests.integration.stage import Stage, stage


@pytest.fixture(scope="module")
def shared(make_database: Callable[[], str]) -> Iterator[Stage]:
    """Yield a stage for all tests of this module."""
    with stage(make_database()) as made:
        yield made


@pytest.fixture
def sending(shared: Stage) -> Sending:
    """Return an empty world with its first version."""
    return Sending(shared)
