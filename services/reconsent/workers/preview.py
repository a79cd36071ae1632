"""Count whom a draft would ask, inform and leave out, before it is published.

The draft is published in a transaction that is never committed, so the counts come from the same
rules and facts as those of the real release.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from reconsent.domain.errors import BadInputError
from reconsent.domain.notice import next_step
from reconsent.domain.policy import PolicyVersion
from reconsent.domain.policy_ends import uses_end, uses_go_on
from reconsent.facts.planning.audience import audience
from reconsent.facts.planning.releases import informs_somebody
from reconsent.facts.record.publishing import publish
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import Policies, PublishedVersions
from reconsent.store.postgres import Connection, Database


@dataclass(frozen=True, kw_only=True)
class Preview:
    """How many accounts would be asked, informed, left out (by reason) and not concerned.

    `ending`: for how many accounts the company's uses of data already held end when the version
    takes effect, because another company is responsible; `ending_asked` of them are asked.
    `continuing`: for how many a use that the version drops goes on for data already held.
    """

    accounts: int
    choice: int
    information: int
    suppressed: dict[str, int]
    untouched: int
    ending: int
    ending_asked: int
    continuing: int


@contextmanager
def as_if_published(
    database: Database, version: PolicyVersion
) -> Iterator[tuple[Connection, Policies]]:
    """Publish a draft for as long as the block runs. Raises BadInputError as publishing."""
    with database.connection() as connection:
        try:
            versions = PublishedVersions()
            publish(connection, version, versions)
            policies = versions.now(connection)
            latest = policies.by_name[version.policy].latest
            if latest.version != version.version:
                raise BadInputError(
                    f"version: {version.version!r} is published already, and {latest.version!r}"
                    " after it: nobody is asked about it any more"
                )
            yield connection, policies
        finally:
            connection.rollback()


def preview(database: Database, version: PolicyVersion) -> Preview:
    """Count as if the version were published and mailed now. Raises BadInputError as publishing."""
    with as_if_published(database, version) as (connection, policies):
        policy = policies.by_name[version.policy]
        inform = informs_somebody(connection, policies, policy)
        found = audience(connection, policies, policy)
        cohorts = Cohorts()
        asks = cohorts.asks(connection, policy, {one.cohort for one in found})
        holdings = cohorts.holdings(connection, {one.holdings_id for one in found})
    ending = {key for key, held in holdings.items() if uses_end(policy, held)}
    continuing = {key for key, held in holdings.items() if uses_go_on(policy, held)}
    counts: Counter[str] = Counter()
    suppressed: Counter[str] = Counter()
    ending_asked = 0
    for one in found:
        step = next_step(one.reach, asks[one.cohort], None, inform=inform or one.passes_on)
        if step.plan and step.suppression:
            suppressed[step.suppression] += one.accounts
        else:
            counts[step.plan or "untouched"] += one.accounts
            if step.plan == "choice" and one.holdings_id in ending:
                ending_asked += one.accounts
    return Preview(
        accounts=sum(one.accounts for one in found),
        choice=counts["choice"],
        information=counts["information"],
        suppressed=dict(sorted(suppressed.items())),
        untouched=counts["untouched"],
        ending=sum(one.accounts for one in found if one.holdings_id in ending),
        ending_asked=ending_asked,
        continuing=sum(one.accounts for one in found if one.holdings_id in continuing),
    )
