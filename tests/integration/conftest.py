"""How many random worlds, from which seed on; how many agreed, and which found a wrong rule."""

from __future__ import annotations

import pytest

AT_A_TIME = 25


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    parser.addoption("--worlds", type=int, default=100, help="random worlds of test_many_worlds.py")
    parser.addoption("--first-seed", type=int, default=1, help="the first one's seed")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Play the worlds of some seeds at a time."""
    if "seeds" in metafunc.fixturenames:
        first = metafunc.config.getoption("first_seed", 1)
        end = first + metafunc.config.getoption("worlds", 100)
        parts = [range(at, min(at + AT_A_TIME, end)) for at in range(first, end, AT_A_TIME)]
        metafunc.parametrize("seeds", parts, ids=lambda part: f"{part[0]}-{part[-1]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many worlds agreed with the model, and which ones found wrong rules."""
    passed = [dict(report.user_properties) for report in terminalreporter.getreports("passed")]
    if played := [one for one in passed if "worlds" in one]:
        worlds, steps = (sum(int(one[what]) for one in played) for what in ("worlds", "steps"))
        first = min(int(one["first_seed"]) for one in played)
        last = max(int(one["last_seed"]) for one in played)
        terminalreporter.write_line(
            f"{worlds:,} worlds of {steps:,} steps agree with the model: seeds {first} to {last}"
        )
    for one in passed:
        if "found_by" in one:
            terminalreporter.write_line(f"{one['wrong_rule']}: found by seed {one['found_by']}")
