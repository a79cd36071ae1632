"""All processes of a run collect the same tests."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from tests.conftest import LONGEST
from tests.docs import ROOT


def test_the_files_that_begin_first_exist() -> None:
    """Each of the longest files is where tests/conftest.py says."""
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []


@pytest.mark.slow
def test_names_of_tests_do_not_depend_on_the_clock(request: pytest.FixtureRequest) -> None:
    """Collected again a second later, the tests of this run have the same names in the same order.

    xdist requires this of its processes.
    """
    # Their seeds are drawn once for all processes of a run.
    here = [item.nodeid for item in request.session.items if "seed" not in _fixtures(item)]
    second = int(time.time())
    while int(time.time()) == second:
        time.sleep(0.01)
    collected = _collected(request.config.args)
    wanted = set(here)
    assert [name for name in collected if name in wanted] == here


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


def _collected(paths: Sequence[str]) -> list[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [*command, *paths], cwd=ROOT, capture_output=True, check=True, timeout=300
    )
    return [line for line in ended.stdout.decode().splitlines() if "::" in line]
