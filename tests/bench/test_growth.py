"""What must not slow down with more accounts: idle services, counts, the first line of a list.

Each is measured at 100,000 accounts and at 5,000,000, or at `--accounts`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

import psycopg
import pytest

from reconsent.facts.read.counts import status
from reconsent.facts.read.erasures import erasures
from reconsent.facts.read.notices import Filters, list_notices
from reconsent.facts.sending.releases import releases
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.log import lag
from reconsent.store.postgres import Connection, open_database
from reconsent.workers.intake import GROUP
from reconsent.workers.service import Service
from tests.growth import fill, services
from tests.integration.stage import TOKEN, Stage, stage

FEWER: Final = 100_000
MOST: Final = 2.0
_TIMES: Final = 15


def test_growth(make_database: Callable[[], str], pytestconfig: pytest.Config) -> None:
    """Print each time at both sizes, and mark ratios over MOST."""
    most = pytestconfig.getoption("accounts")
    fewer, more = [_measured(make_database(), size) for size in (FEWER, most)]
    print(f"\n{'milliseconds':<28}{FEWER:>12,}{most:>12,}   ratio")
    for name, before in fewer.items():
        ratio = more[name] / before
        mark = "" if ratio <= MOST else f"   more than {MOST:.0f}"
        print(f"{name:<28}{before * 1e3:>12.2f}{more[name] * 1e3:>12.2f}{ratio:>8.2f}{mark}")


def _measured(conninfo: str, size: int) -> dict[str, float]:
    """Fill a database, and return the best time of each in seconds."""
    with open_database(conninfo) as database:
        fill(database, size)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        with services(database, conninfo) as made:
            found = {name: _best(partial(_step, service)) for name, service in made.items()}
        for name, read in _READ.items():
            found[name] = _best(partial(database.transaction, read))
    with stage(conninfo) as place:
        found["/metrics"] = _best(partial(_metrics, place))
    return found


def _best(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _step(service: Service) -> None:
    assert not service.work()
    assert service.idle()


def _metrics(place: Stage) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    response = place.runner.run(place.client.get("/metrics", headers=headers))
    assert response.status_code == 200


def _status(connection: Connection) -> object:
    return status(connection, PublishedVersions().now(connection), lag(connection, GROUP))


def _releases(connection: Connection) -> object:
    return releases(connection, PublishedVersions().now(connection))


def _first_notice(filters: Filters, connection: Connection) -> object:
    versions = PublishedVersions().now(connection)
    return next(list_notices(connection, Cohorts(), versions, filters))


_READ: Final[dict[str, Callable[[Connection], object]]] = {
    "status": _status,
    "release list": _releases,
    "erasures": erasures,
    "notices, first line": partial(_first_notice, Filters()),
    "notices --not-told, first": partial(_first_notice, Filters(not_told=True)),
}
