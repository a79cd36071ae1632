"""Options and fixtures of the benchmarks; the broker and topics come from tests/kafka."""

from __future__ import annotations

import pytest

from tests.kafka.conftest import cluster, given, settings, started, topics

__all__ = ["cluster", "given", "settings", "started", "topics"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the number of accounts."""
    parser.addoption("--accounts", type=int, default=5_000_000, help="accounts of test_growth")
