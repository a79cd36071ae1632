"""`explain` has words for all states and reasons."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import get_args

from reconsent.cli.explain_words import REASON, SAID, SETTLED, STATE, SUPPRESSED
from reconsent.domain.consent import EventState
from reconsent.domain.notice import Settled, State
from reconsent.domain.permission import Reason


def test_every_state_and_reason_has_words() -> None:
    """Each state, suppression, answer and reason of the rules has words."""
    described_separately = {"suppressed", "superseded"}
    assert set(get_args(State)) == STATE.keys() | described_separately
    assert set(get_args(Settled)) == SETTLED.keys() | {"superseded"}
    assert {state.value for state in EventState} == SAID.keys()
    with_details = {
        "declared", "not_effective_yet", "suppressed", "undeclared", "unknown_version",
    }  # fmt: skip
    without_account = {"unknown_account"}
    assert set(get_args(Reason)) == REASON.keys() | with_details | without_account
    schema = files("reconsent.schemas").joinpath("postgres/0001_facts_and_notices.sql")
    [listed] = re.findall(r"CHECK \(suppression IN \(([^)]*)\)", schema.read_text("utf-8"))
    assert set(re.findall(r"\w+", listed)) == SUPPRESSED.keys()
