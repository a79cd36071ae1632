"""Permission checks, beside the SQL that reads their accounts alone."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any, Final

import psycopg
import pytest

from reconsent.facts.read.permissions import SQL, Permissions
from reconsent.facts.record.publishing import publish
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.store.postgres import Database
from tests.bench.rows import Row, Table, memory, seconds
from tests.bench.worlds import SITE, add, fill, vacuum, version

ACCOUNTS: Final = 100_000
_CHECKS: Final = 10_000
_TIMES: Final = 9
_TOKEN: Final = "a-token-for-the-benchmark"
_FLOOR: Final = "the SQL that reads their accounts alone"
_FUNCTION: Final = Row(
    name="permissions", path="permission checks, 10,000 a batch", floor=_FLOOR, most=2
)
_HTTP: Final = Row(
    name="permissions-http", path="the same over HTTP, uvicorn in its process", floor=_FLOOR,
    most=3.5,
)  # fmt: skip
# Standings of some decisions each, for all accounts but those that have not answered.
_DECIDE: Final = """
WITH made AS (
    INSERT INTO standings (standing_id, members, digest)
    SELECT set_id(members), members, sha256(convert_to(members::text, 'UTF8'))
    FROM generate_series(1, 20) AS n
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_array(
            CASE WHEN n %% 3 = 0 THEN 'ConsentRefused' ELSE 'ConsentGiven' END,
            'user.kind' || lpad(bit::text, 2, '0'), 'v1', 'marketing', 'example') ORDER BY bit)
        FROM generate_series(0, 4) AS bit WHERE n >> bit & 1 = 1
    ) AS one (members)
    ON CONFLICT DO NOTHING RETURNING standing_id
), ids AS (
    SELECT array_agg(standing_id ORDER BY standing_id) AS ids FROM standings
)
UPDATE account_sets SET standing_id = ids[1 + accounts.account_key / 64 %% cardinality(ids)]
FROM accounts CROSS JOIN ids
WHERE account_sets.bucket = accounts.bucket
  AND account_sets.account_key = accounts.account_key
  AND account = ANY(SELECT 'account-' || n
                    FROM generate_series(%(first)s, %(last)s::bigint) AS n)
"""


@dataclass
class Times:
    """Seconds that batches took: by the function, over HTTP, and the SQL alone."""

    function: list[float] = field(default_factory=list)
    over_http: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)

    def add_to(self, table: Table, note: str = "") -> None:
        """Add both rows."""
        table.floor("permissions", SQL["many"])
        for row, path in ((_FUNCTION, self.function), (_HTTP, self.over_http)):
            table.add(row, items=_CHECKS, path=path, floor=self.floor, note=note)


@pytest.mark.rows("permissions", "permissions-http")
def test_permissions(database: Database, conninfo: str, table: Table) -> None:
    """Checks of accounts in 100 cohorts of holdings, and 20 standings."""
    fill(database, conninfo, accounts=0, cohorts=100)
    draft = version("v2", "v1", "essential.service", "marketing")
    database.transaction(lambda connection: publish(connection, draft, PublishedVersions()))
    measure_permissions(database, conninfo, first=1).add_to(table, f"{memory():,.0f} MB")


def measure_permissions(database: Database, conninfo: str, *, first: int) -> Times:
    """Add accounts, numbered from `first` on, and measure checks of them.

    The database was filled by `fill`, and has a version v2 that declares marketing.
    """
    last = first + ACCOUNTS - 1
    with database.connection() as connection:
        add(connection, first, last)
    with psycopg.connect(conninfo) as connection:
        connection.execute(_DECIDE, {"first": first, "last": last})
    vacuum(conninfo)
    permissions, versions, times = Permissions(Cohorts()), PublishedVersions(), Times()

    def read_accounts(batch: Sequence[dict[str, Any]]) -> object:
        wanted = {
            "properties": "\n".join(check["property"] for check in batch),
            "accounts": "\n".join(check["account"] for check in batch),
        }
        return database.transaction(lambda c: c.execute(SQL["many"], wanted).fetchall())

    def answer(batch: Sequence[dict[str, Any]]) -> object:
        now = datetime.now(UTC)
        return database.transaction(lambda c: permissions.answer(c, batch, versions.now(c), now))

    with _serving(conninfo) as web:
        for batch in _batches(first, last):
            read_accounts(batch)  # so that no one of the three finds what another one fetched
            times.floor.append(seconds(partial(read_accounts, batch)))
            times.function.append(seconds(partial(answer, batch)))
            times.over_http.append(_over_http(web, batch))
    return times


def _batches(first: int, last: int) -> Iterator[Sequence[dict[str, Any]]]:
    """Yield batches of random checks: of any account, some collected data and a use of it."""
    chance = Random(1)
    for _ in range(_TIMES):
        yield [
            {
                "property": SITE,
                "account": f"account-{chance.randint(first, last)}",
                "data_category": f"user.kind{chance.randrange(8):02}",
                "data_use": chance.choice(["marketing.email", "marketing", "essential.service"]),
                "collected_under": "v1",
            }
            for _ in range(_CHECKS)
        ]


@contextmanager
def _serving(conninfo: str) -> Iterator[http.client.HTTPConnection]:
    """Serve the pages and the API as `reconsent run web` does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,  # noqa: TID251 -- the program gets PATH and the like
        "DATABASE_URL": conninfo.replace("/proc/self/", f"/proc/{os.getpid()}/"),
        "RECONSENT_LISTEN": f"127.0.0.1:{port}",
        "RECONSENT_API_TOKEN": _TOKEN,
        "RECONSENT_SECRET": "secret of the benchmark",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    command = [sys.executable, "-m", "reconsent", "run", "web"]
    with subprocess.Popen(command, env=environment) as server:
        try:
            web = http.client.HTTPConnection("127.0.0.1", port)
            _wait(web, server)
            yield web
            web.close()
        finally:
            server.terminate()


def _wait(web: http.client.HTTPConnection, server: subprocess.Popen[bytes]) -> None:
    while True:
        assert server.poll() is None, "the server ended"
        try:
            web.connect()
        except OSError:
            time.sleep(0.1)
        else:
            return


def _over_http(web: http.client.HTTPConnection, batch: Sequence[dict[str, Any]]) -> float:
    """Return how long a request takes, from its first byte to the last of the response."""
    body = json.dumps({"checks": batch}).encode()
    headers = {"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json"}

    def ask() -> bytes:
        web.request("POST", "/v1/permissions", body, headers)
        response = web.getresponse()
        assert response.status == http.client.OK
        return response.read()

    start = time.perf_counter()
    content = ask()
    took = time.perf_counter() - start
    assert len(json.loads(content)["answers"]) == len(batch)
    return took
