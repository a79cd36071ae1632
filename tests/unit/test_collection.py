"""Every process of a run collects the same tests."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.docs import ROOT


@pytest.mark.slow
def test_names_of_tests_do_not_depend_on_the_clock() -> None:
    """Collected in two different seconds, the tests have the same names: xdist compares them."""
    first = _collected()
    second = int(time.time())
    while int(time.time()) == second:
        time.sleep(0.01)
    assert _collected() == first


def _collected() -> list[str]:
    # The seed of chaos tests is drawn once for all processes of a run.
    chosen = ["--collect-only", "-q", "-p", "no:cacheprovider", "--seed=1"]
    command = [sys.executable, "-m", "pytest", *chosen]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=300)
    return [line for line in ended.stdout.decode().splitlines() if "::" in line]
