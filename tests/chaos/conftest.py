"""The number of rounds, and their seeds."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconsent.config import Settings, settings
from reconsent.program import Program
from tests.chaos.clean_run import SECRET
from tests.chaos.database import Server, running_server
from tests.chaos.moments import install
from tests.chaos.rounds import Grounds
from tests.chaos.sending import Place
from tests.chaos.striking_sendgrid import StrikingSendGrid, running_striking_sendgrid
from tests.forking.client import Forker, running_forker
from tests.kafka.shared_broker import run_broker
from tests.stand_ins.sendgrid import running_sendgrid


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    parser.addoption("--rounds", type=int, default=1, help="rounds of tests/chaos")
    parser.addoption("--seed", type=int, help="the first round's chance; a failing one prints it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each round a seed of its own: the same ones in CI, others elsewhere."""
    if "seed" not in metafunc.fixturenames:
        return
    first = metafunc.config.getoption("seed")
    rounds = metafunc.config.getoption("rounds")
    if first is None:
        first = _usual_seed(metafunc.config)
        rounds *= getattr(metafunc.module, "ROUNDS_EACH", 1)
    metafunc.parametrize("seed", range(first, first + rounds))


def _usual_seed(config: pytest.Config) -> int:
    """Return a seed that all processes of this run agree on."""
    if "CI" in os.environ:  # noqa: TID251 -- what the machine offers the tests
        return 1
    worker = getattr(config, "workerinput", None)
    chance = random.Random(worker["testrunuid"]) if worker else random.Random()
    return chance.randrange(10**6)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests in this folder."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("chaos")
            if "grounds" in getattr(item, "fixturenames", ()):
                item.add_marker("kafka")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Run a server that may crash."""
    with running_server() as made:
        yield made


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    """Run the process that starts services quickly."""
    with running_forker(impatient=True) as made:
        yield made


@pytest.fixture(scope="session")
def grounds(
    tmp_path_factory: pytest.TempPathFactory, server: Server, forker: Forker
) -> Iterator[Grounds]:
    """What the rounds of the whole pipeline share."""
    with run_broker(tmp_path_factory) as broker, running_sendgrid() as sendgrid:
        yield Grounds(broker=broker, server=server, forker=forker, sendgrid=sendgrid)


@pytest.fixture(scope="session")
def sending_place(server: Server, forker: Forker) -> Iterator[Place]:
    """What the rounds of sending share."""
    conninfo = server.make()
    install(conninfo)
    with running_striking_sendgrid() as sendgrid, Program(_pages(conninfo, sendgrid)) as program:
        web = program.web()
        web.start()
        webhook = f"http://127.0.0.1:{web.port}/hooks/sendgrid"
        yield Place(
            server=server, conninfo=conninfo, forker=forker, sendgrid=sendgrid, webhook=webhook
        )
    server.drop(conninfo)


def _pages(conninfo: str, sendgrid: StrikingSendGrid) -> Settings:
    return settings(
        {
            "DATABASE_URL": conninfo,
            "RECONSENT_LISTEN": "127.0.0.1:0",
            "RECONSENT_SECRET": SECRET,
            "RECONSENT_API_TOKEN": "a token",
            "MAIL_URL": "sendgrid://",
            "SENDGRID_API_KEY": sendgrid.api_key,
            "SENDGRID_WEBHOOK_KEY": sendgrid.webhook_key,
        }
    )
