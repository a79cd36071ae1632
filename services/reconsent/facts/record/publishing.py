"""Publishing a policy version. RULES 1, 2."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from reconsent.domain.change import as_event, content_hash
from reconsent.domain.errors import BadInputError
from reconsent.domain.notice import Settled, settled
from reconsent.domain.policy import PolicyVersion
from reconsent.domain.policy_line import admit
from reconsent.facts.record.standings import refresh_standings
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import Policies, PublishedVersions
from reconsent.store.named import named
from reconsent.store.postgres import Connection

SQL = named("record/publishing")


def publish(connection: Connection, version: PolicyVersion, versions: PublishedVersions) -> bool:
    """Publish a version; False where the same one is published already.

    Raises BadInputError where it does not continue its line, or where another text stands
    published under its name: a published version never changes.
    """
    connection.execute(SQL["lock_alone"])
    names = {"policy": version.policy, "version": version.version}
    known = connection.execute(SQL["content_hash"], names).fetchone()
    digest = content_hash(version)
    if known is not None:
        if known[0] == digest:
            return False
        message = f"version: {version.version!r} is published already, with another content"
        raise BadInputError(message)
    policies = versions.now(connection)
    admit(version, policies.by_name.get(version.policy), policies.owners)
    _settle(connection, policies, version.policy)
    document = as_event(version).decode()
    connection.execute(SQL["publish"], names | {"document": document, "content_hash": digest})
    properties = list(version.properties)
    connection.execute(SQL["own_properties"], {"policy": version.policy, "properties": properties})
    # A new version can change which controller was in force when somebody said yes.
    counting = connection.execute(SQL["counting_on_controller"], {"properties": properties})
    refresh_standings(connection, [key for (key,) in counting], versions.now(connection))
    return True


def _settle(connection: Connection, policies: Policies, name: str) -> None:
    """Note what became of mailed questions by now: a later version is to take their place.

    The planner has noted it of all accounts that it has looked at since they changed.
    """
    policy = policies.by_name.get(name)
    if policy is None:
        return
    rows = connection.execute(
        SQL["not_settled_yet"], {"version_id": policies.latest_id(name)}
    ).fetchall()
    cohorts = Cohorts()
    cohorts.asked(connection, {row[1] for row in rows})
    asks = cohorts.asks(connection, policy, {row[2:] for row in rows})
    settling: dict[Settled | None, list[UUID]] = {}
    for notice_id, ask_id, *cohort in rows:
        pair = (cohort[0], cohort[1])
        asked = cohorts.asked(connection, [ask_id])[ask_id]
        standing = cohorts.standings(connection, [pair[1]])[pair[1]]
        settling.setdefault(settled(asked, asks[pair], standing), []).append(notice_id)
    for became, notice_ids in settling.items():
        settle_questions(connection, became, notice_ids)


def settle_questions(
    connection: Connection, became: Settled | None, notice_ids: Iterable[UUID]
) -> None:
    """Note what became of mailed questions."""
    connection.execute(SQL["settle"], {"settled": became, "notice_ids": sorted(notice_ids)})
