"""How many rounds, and of which chance."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.database import running_server
from tests.chaos.rounds import Grounds
from tests.chaos.services import running_zygote
from tests.kafka.shared_broker import run_broker
from tests.stand_ins.sendgrid import running_sendgrid


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell how many rounds there are."""
    parser.addoption("--rounds", type=int, default=3, help="rounds of tests/chaos")
    parser.addoption("--seed", type=int, help="the first round's chance; a failing one prints it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each round a seed of its own: the same ones in CI, others elsewhere."""
    if "seed" not in metafunc.fixturenames:
        return
    first = metafunc.config.getoption("seed")
    if first is None:
        first = _usual_seed(metafunc.config)
    metafunc.parametrize("seed", range(first, first + metafunc.config.getoption("rounds")))


def _usual_seed(config: pytest.Config) -> int:
    """Return a seed that all processes of this run agree on."""
    if "CI" in os.environ:  # noqa: TID251 -- what the machine offers the tests
        return 1
    worker = getattr(config, "workerinput", None)
    chance = random.Random(worker["testrunuid"]) if worker else random.Random()
    return chance.randrange(10**6)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies beside this file."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("kafka")
            item.add_marker("chaos")


@pytest.fixture(scope="session")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    """What the rounds share."""
    with (
        run_broker(tmp_path_factory) as broker,
        running_server() as server,
        running_zygote() as zygote,
        running_sendgrid() as sendgrid,
    ):
        yield Grounds(broker=broker, server=server, zygote=zygote, sendgrid=sendgrid)
