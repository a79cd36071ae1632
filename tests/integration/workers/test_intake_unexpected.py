"""An error that nobody expects stops the topic whose batch it is about; the others go on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from reconsent.store.postgres import Database
from reconsent.workers import intake as intake_module
from reconsent.workers.batches import read_batch
from reconsent.workers.intake import Intake
from reconsent.workers.stops import FIRST_PAUSE
from tests.integration.workers.poisoned import (
    AHEAD,
    Clock,
    account,
    accounts,
    choices,
    dead,
    denial,
    drain,
    intake,
    send,
    stops,
)


@AHEAD
@pytest.mark.parametrize("where", ["recording", "reading"])
def test_an_unexpected_error_stops_no_other_topic(
    database: Database,
    conninfo: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    *,
    ahead: bool,
) -> None:
    """The topic is tried again after pauses; its error is in the log once, and nowhere else."""
    send(conninfo, [account("ann"), account("bo"), denial("ann")])
    clock = Clock()
    faults = {"accounts"}
    fail_for(monkeypatch, where, faults)
    with intake(database, conninfo, clock, ahead=ahead) as reader:
        drain(reader)
        assert (accounts(conninfo), choices(conninfo), dead(conninfo)) == ([], 1, 0)
        [stop] = stops(database)
        assert (stop.topic, stop.partition) == ("accounts", 0)
        assert stop.reason.endswith("unexpected ZeroDivisionError, see the log of the intake")
        clock.seconds += FIRST_PAUSE
        send(conninfo, [denial("bo")])
        drain(reader)
        assert (accounts(conninfo), choices(conninfo)) == ([], 2)
        assert ["ann@example.org" in str(each.exc_info) for each in caplog.records] == [True, False]
        faults.clear()
        clock.seconds += 2 * FIRST_PAUSE
        drain(reader)
    assert (accounts(conninfo), stops(database)) == (["ann", "bo"], [])


def fail_for(patch: pytest.MonkeyPatch, where: str, topics: Collection[str]) -> None:
    """Let what reads or records batches of some topics fail."""
    work = read_batch if where == "reading" else Intake._record  # noqa: SLF001

    def failing(*given: Any) -> object:  # noqa: ANN401
        batch = given[0] if where == "reading" else given[2].batch
        if batch.topic in topics:
            raise ZeroDivisionError("ann@example.org")
        return work(*given)

    if where == "reading":
        patch.setattr(intake_module, "read_batch", failing)
    else:
        patch.setattr(Intake, "_record", failing)
