"""Accounts that were mailed through a stand-in for SendGrid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.integration.sendgrid_place import Place, mailed
from tests.stand_ins.sendgrid import running_sendgrid

PEOPLE: Final = 2900


@pytest.fixture(scope="module")
def place(
    make_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Yield a place for this module; each test takes accounts that no other uses."""
    with running_sendgrid() as stand_in:
        home = tmp_path_factory.mktemp("home")
        with mailed(PEOPLE, stand_in, make_database(), home) as made:
            yield made
