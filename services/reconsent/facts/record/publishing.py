"""Publishing a policy version. RULES 1, 2."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from reconsent.domain.change import as_event, content_hash
from reconsent.domain.errors import BadInputError
from reconsent.domain.notice import Settled, settled
from reconsent.domain.policy import PolicyVersion
from reconsent.domain.policy_line import admit
from reconsent.facts.notice_ids import as_columns
from reconsent.facts.record.standings import refresh_standings
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import Policies, PublishedVersions
from reconsent.store.named import named
from reconsent.store.postgres import Connection
from reconsent.store.rows import all_rows, values

SQL = named("record/publishing")


class _Mailed(NamedTuple):
    """A mailed question, with the cohort of its account."""

    account_key: int
    notice_id: UUID
    ask_id: int
    holdings_id: int
    standing_id: int

    @property
    def cohort(self) -> tuple[int, int]:
        return self.holdings_id, self.standing_id


def publish(
    connection: Connection,
    version: PolicyVersion,
    versions: PublishedVersions,
    published_at: datetime | None = None,
) -> bool:
    """Publish a version, now or as of when it was; False if the same one is already published.

    Raises BadInputError if it does not continue its line, or if its name is published with other
    content: a published version never changes.
    """
    connection.execute(SQL["lock_alone"])
    names = {"policy": version.policy, "version": version.version}
    known = values(connection, SQL["content_hash"], names)
    digest = content_hash(version)
    if known:
        if known == [digest]:
            return False
        message = (
            f"version: {version.version!r} is published already, with other content, and never"
            " changes: give this one a name of its own"
        )
        raise BadInputError(message)
    policies = versions.now(connection)
    admit(version, policies.by_name.get(version.policy), policies.owners)
    _settle(connection, policies, version.policy)
    document = as_event(version).decode()
    row = names | {
        "document": document, "content_hash": digest, "published_at": published_at,
    }  # fmt: skip
    [version_id] = values(connection, SQL["publish"], row)
    connection.execute(SQL["begin_planning"], {"version_id": version_id})
    properties = list(version.properties)
    connection.execute(SQL["own_properties"], {"policy": version.policy, "properties": properties})
    # A new version can change which controller was in force at the time of an agreement.
    counting = values(connection, SQL["counting_on_controller"], {"properties": properties})
    refresh_standings(connection, counting, versions.now(connection))
    return True


def _settle(connection: Connection, policies: Policies, name: str) -> None:
    """Record how mailed questions were settled, before a later version supersedes them.

    The planner has already recorded it for all accounts that it has seen since they changed.
    """
    policy = policies.by_name.get(name)
    if policy is None:
        return
    latest = {"version_id": policies.latest_id(name)}
    notices = all_rows(connection, _Mailed, SQL["not_settled_yet"], latest)
    cohorts = Cohorts()
    asked = cohorts.asked(connection, {notice.ask_id for notice in notices})
    asks = cohorts.asks(connection, policy, {notice.cohort for notice in notices})
    standings = cohorts.standings(connection, {notice.standing_id for notice in notices})
    settling: dict[Settled | None, dict[UUID, int]] = {}
    for notice in notices:
        became = settled(asked[notice.ask_id], asks[notice.cohort], standings[notice.standing_id])
        settling.setdefault(became, {})[notice.notice_id] = notice.account_key
    for became, owners in settling.items():
        settle_questions(connection, became, owners)


def settle_questions(
    connection: Connection, became: Settled | None, owners: Mapping[UUID, int]
) -> None:
    """Record how mailed questions were settled; `owners` are their accounts by notice."""
    connection.execute(SQL["settle"], as_columns(owners) | {"settled": became})
