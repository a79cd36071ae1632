"""Plan notices: for a published version, and for accounts that late facts touched. RULES 9 to 15.

Every slice begins where the one before ended, also after a crash.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from reconsent.facts.planning.first import (
    MOST_ACCOUNTS,
    KnownAsks,
    UnknownCohortsError,
    record_asks,
)
from reconsent.facts.planning.releases import (
    LANES,
    Part,
    any_to_plan,
    begin_planning,
    next_parts,
    plan_part,
)
from reconsent.facts.planning.steps import plan_touched
from reconsent.facts.restores import current_era
from reconsent.facts.sending.releases import apply_flags
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.facts.planning.first import Cohort
    from reconsent.store.postgres import Connection, Database

SLICE: Final = 40_000


class Planner(Service):
    """Plans what is to be planned, a slice at a time."""

    name = "planner"

    def __init__(self, database: Database, *, slice_size: int = SLICE) -> None:
        """Plan up to `slice_size` accounts in a transaction, MOST_ACCOUNTS at most."""
        if slice_size > MOST_ACCOUNTS:
            raise ValueError(slice_size)
        self._database = database
        self._slice_size = slice_size
        self._versions = PublishedVersions()
        self._cohorts = Cohorts()
        # One for each lane, so that no lane makes another forget.
        self._known = [KnownAsks() for _ in range(LANES)]

    @override
    def work(self) -> bool:
        """Plan one slice; False where there was nothing to plan."""
        return self._database.transaction(self._plan)

    @override
    def idle(self) -> bool:
        """Tell whether nothing waits to be planned, also nothing just being committed."""
        with self._database.connection() as connection:
            return not any_to_plan(connection, self._versions.now(connection))

    def _plan(self, connection: Connection) -> bool:
        """Begin with the releases that were paused, resumed or cancelled."""
        current_era(connection)
        begin_planning(connection)
        policies = self._versions.locked(connection)
        if apply_flags(connection, policies, self._slice_size):
            return True
        for policy in policies.by_name.values():
            lanes = next_parts(connection, policies, policy, self._slice_size)
            if lanes is not None:
                self._plan_lanes(lanes)
                return True
        return plan_touched(connection, self._cohorts, policies, self._slice_size)

    def _plan_lanes(self, lanes: Sequence[Sequence[Part]]) -> None:
        """Plan parts side by side, in transactions of their own, while this one keeps others out.

        If this one is repeated, it goes on behind them.
        """
        with ThreadPoolExecutor(max(1, len(lanes)), "planner") as threads:
            list(threads.map(self._plan_parts, lanes, self._known))

    def _plan_parts(self, parts: Sequence[Part], known: KnownAsks) -> None:
        for part in parts:
            while unknown := self._try_part(part, known):
                record = partial(
                    record_asks, cohorts=self._cohorts, policy=part.policy, unknown=unknown
                )
                known.add(part.version_id, self._database.transaction(record))

    def _try_part(self, part: Part, known: KnownAsks) -> Sequence[Cohort]:
        """Plan a part, or return the cohorts that have to be known first."""

        def plan(connection: Connection) -> None:
            # Here, so that nothing is taken from before a restore that this connection came after.
            plan_part(connection, self._cohorts, part, known.of(part.version_id))

        try:
            self._database.transaction(plan)
        except UnknownCohortsError as error:
            return error.cohorts
        return []
