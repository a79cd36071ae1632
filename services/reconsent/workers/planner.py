"""Plan notices: for a published version, and for accounts that late facts touched. RULES 9 to 15.

Every slice is a transaction of its own, which begins where the one before ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from typing_extensions import override

from reconsent.facts.planning import any_to_plan, begin_planning, plan_release, plan_touched
from reconsent.facts.restores import current_era
from reconsent.facts.sending.releases import apply_flags
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import PublishedVersions
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from reconsent.store.postgres import Connection, Database

SLICE: Final = 20_000


class Planner(Service):
    """Plans what is to be planned, a slice at a time."""

    name = "planner"

    def __init__(self, database: Database, *, slice_size: int = SLICE) -> None:
        """Plan up to `slice_size` accounts in a transaction."""
        self._database = database
        self._slice_size = slice_size
        self._versions = PublishedVersions()
        self._cohorts = Cohorts()

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
        return (
            apply_flags(connection, policies, self._slice_size)
            or any(
                plan_release(connection, self._cohorts, policies, policy, self._slice_size)
                for policy in policies.by_name.values()
            )
            or plan_touched(connection, self._cohorts, policies, self._slice_size)
        )
