"""Options and fixtures of the benchmarks; the broker and topics come from tests/kafka."""

from __future__ import annotations

from typing import Final

import pytest

from tests.bench.rows import Table
from tests.kafka.conftest import cluster, given, settings, started, topics

__all__ = ["cluster", "given", "settings", "started", "topics"]

_TABLE: Final = pytest.StashKey[Table]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options: one row only, and sizes."""
    parser.addoption("--row", default="", help="measure this row only")
    parser.addoption("--accounts", type=int, default=5_000_000, help="accounts of a grown database")


def pytest_configure(config: pytest.Config) -> None:
    """Begin the table of this run."""
    config.addinivalue_line("markers", "rows(*names): the rows that a benchmark measures")
    config.stash[_TABLE] = Table()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the benchmarks that do not measure the row that is asked for."""
    wanted = config.getoption("row")
    if not wanted:
        return
    named = {item: _rows(item) for item in items}
    if not any(wanted in rows for rows in named.values()):
        known = sorted(set().union(*named.values()))
        raise pytest.UsageError(f"no row is called {wanted}; there are: {', '.join(known)}")
    items[:] = [item for item, rows in named.items() if wanted in rows]


def _rows(item: pytest.Item) -> set[str]:
    return {name for mark in item.iter_markers("rows") for name in mark.args}


@pytest.fixture(scope="session")
def table(pytestconfig: pytest.Config) -> Table:
    """The rows that were measured in this run."""
    return pytestconfig.stash[_TABLE]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print all rows as one table."""
    measured = config.stash[_TABLE]
    if measured.measured:
        terminalreporter.write_sep("=", "rows")
        for line in measured.lines():
            terminalreporter.write_line(line)
