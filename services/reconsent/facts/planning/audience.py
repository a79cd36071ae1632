"""Counting the accounts that are alike, before a version is planned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reconsent.domain.notice import REACHES, Reach
from reconsent.facts.planning.releases import unsent_information
from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from reconsent.domain.policy import Policy
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("planning/audience")


class Audience(NamedTuple):
    """How many accounts have the same cohort and reach, and whether they were still to be informed.

    `number` is the place of the reach in REACHES.
    """

    holdings_id: int
    standing_id: int
    number: int
    passes_on: bool
    accounts: int

    @property
    def cohort(self) -> tuple[int, int]:
        """The (holdings, standing) ids, which decide what is asked."""
        return self.holdings_id, self.standing_id

    @property
    def reach(self) -> Reach:
        """What decides whether the accounts may be mailed."""
        return REACHES[self.number]


class Readers(NamedTuple):
    """How many accounts of the same cohort and reach share a property and a locale."""

    holdings_id: int
    standing_id: int
    number: int
    passes_on: bool
    property_name: str
    locale: str | None
    accounts: int

    @property
    def cohort(self) -> tuple[int, int]:
        """The (holdings, standing) ids, which decide what is asked."""
        return self.holdings_id, self.standing_id

    @property
    def reach(self) -> Reach:
        """What decides whether the accounts may be mailed."""
        return REACHES[self.number]


def readers(connection: Connection, policies: Policies, policy: Policy) -> list[Readers]:
    """Count the accounts of a policy as `audience` does, by property and locale too."""
    return all_rows(connection, Readers, SQL["readers"], _wanted(connection, policies, policy))


def audience(connection: Connection, policies: Policies, policy: Policy) -> list[Audience]:
    """Count the accounts of a policy, all but deleted ones, as its latest version meets them."""
    # There are few groups, whatever the statistics say: counted in memory, nothing is sorted.
    connection.execute("SET LOCAL work_mem = '64MB'")
    connection.execute("SET LOCAL enable_sort = off")
    wanted = _wanted(connection, policies, policy)
    if len(policies.by_name) == 1 and not wanted["unsent"]:
        return all_rows(connection, Audience, SQL["by_sets"], wanted)
    return all_rows(connection, Audience, SQL["audience"], wanted)


def _wanted(connection: Connection, policies: Policies, policy: Policy) -> dict[str, Any]:
    return {
        "properties": policies.properties(policy.name),
        "version_id": policies.latest_id(policy.name),
        "unsent": unsent_information(connection, policies, policy),
    }
