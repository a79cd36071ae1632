"""Counting the accounts that are alike, before a version is planned."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.domain.notice import REACHES, Reach
from reconsent.facts.planning.releases import unsent_information
from reconsent.store.named import named
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.policy import Policy
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("planning/audience")

_AFTER_ALL_NAMES: Final = "\U0010ffff"


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
    if not wanted["unsent"] and not _any_others(connection, wanted["properties"]):
        found = all_rows(connection, Audience, SQL["by_sets"])
        # Accounts stay: where there are no others now, there were none a moment ago.
        if not _any_others(connection, wanted["properties"]):
            return found
    return all_rows(connection, Audience, SQL["audience"], wanted)


def _any_others(connection: Connection, properties: Sequence[str]) -> bool:
    """Tell whether there are accounts of any other properties. Names sort by code point."""
    names = ["", *sorted(properties), _AFTER_ALL_NAMES]
    return any(
        values(connection, SQL["between"], {"low": low, "high": high})
        for low, high in pairwise(names)
    )


def _wanted(connection: Connection, policies: Policies, policy: Policy) -> dict[str, Any]:
    return {
        "properties": policies.properties(policy.name),
        "version_id": policies.latest_id(policy.name),
        "unsent": unsent_information(connection, policies, policy),
    }
