"""How many random worlds, from which seed on, and how many agreed."""

from __future__ import annotations

import pytest

WORLDS_OF_A_SEED = 25


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    parser.addoption("--worlds", type=int, default=100, help="random worlds of test_many_worlds.py")
    parser.addoption("--first-seed", type=int, default=1, help="the first one's seed")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Play each seed's worlds on their own, so that one seed repeats what failed."""
    if "worlds_of" in metafunc.fixturenames:
        first = metafunc.config.getoption("first_seed", 1)
        seeds = -(-metafunc.config.getoption("worlds", 100) // WORLDS_OF_A_SEED)
        metafunc.parametrize("worlds_of", range(first, first + seeds))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many worlds agreed with the model, and how many steps they took."""
    played = [
        dict(report.user_properties)
        for report in terminalreporter.getreports("passed")
        if dict(report.user_properties).get("worlds")
    ]
    if played:
        seeds = sorted(int(one["seed"]) for one in played)
        worlds, steps = (sum(int(one[what]) for one in played) for what in ("worlds", "steps"))
        terminalreporter.write_line(
            f"{worlds:,} worlds of {steps:,} steps agree with the model:"
            f" {len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
        )
