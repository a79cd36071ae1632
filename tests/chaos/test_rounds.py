"""Whatever is killed, suspended or down, and whenever: nothing is lost, and nothing is doubled.

`make chaos ROUNDS=50` plays many rounds, `make chaos SEED=7` one of them again: the same events and
the same mishaps, though at other moments.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from random import Random

import pytest

from tests.chaos.clean_run import clean_run
from tests.chaos.events import Happenings
from tests.chaos.outcome import (
    assert_alike,
    assert_dead_lettered_once,
    assert_mailed_once,
    last_mailed,
    outcome,
)
from tests.chaos.published import assert_published
from tests.chaos.rounds import LATER, Grounds, Round, running_round

# Told once, what is lost is missing; told again and again, what is doubled shows.
TIMES = (1, 1, 10)


def test_round(seed: int, grounds: Grounds, tmp_path: Path) -> None:
    """The outcome is that of a clean run of the same events, and nobody is mailed twice.

    Others are told the same.
    """
    began = time.monotonic()
    chance = Random(seed)
    happenings = Happenings(Random(seed))
    clean = grounds.server.make()
    expected = clean_run(clean, happenings)
    grounds.server.drop(clean)
    folder = tmp_path / f"round-{seed}"
    folder.mkdir()
    with grounds.broker.used(alone=True), running_round(grounds, folder, chance) as played:
        try:
            _play(played, happenings, chance)
            assert_alike(outcome(played.conninfo), expected)
            assert_mailed_once(played.conninfo, played.received(), played.uncertain)
            assert_dead_lettered_once(played.conninfo)
            assert_published(played.settings, played.conninfo)
        finally:
            seconds = time.monotonic() - began
            sys.stderr.write(f"\nseed {seed}: {', '.join(played.happened)}; {seconds:.0f} s\n")


def _play(played: Round, happenings: Happenings, chance: Random) -> None:
    """Send everything many times during mishaps."""
    played.services.start("intake")
    played.tell(happenings.facts, times=chance.choice(TIMES), mishaps=chance.choice([1, 2]))
    for name in LATER:
        played.services.start(name)
    played.tell(happenings.release + happenings.facts[:200], times=2, mishaps=chance.choice([1, 2]))
    played.settle_unknown()
    answers = happenings.answers(last_mailed(played.conninfo))
    played.tell(answers, times=chance.choice(TIMES), mishaps=chance.choice([0, 1]))
    played.tell(happenings.last, times=1, mishaps=chance.choice([0, 1]))


def test_a_different_outcome_is_reported() -> None:
    """Rounds fail if the outcome differs: lost and doubled mails."""
    wanted = {"accounts": [("ann",), ("bo",)]}
    assert_alike({"accounts": [("ann",), ("bo",)]}, wanted)
    for wrong in ([("ann",)], [("ann",), ("bo",), ("bo",)], [("bo",), ("cy",)]):
        with pytest.raises(AssertionError, match="accounts"):
            assert_alike({"accounts": wrong}, wanted)
