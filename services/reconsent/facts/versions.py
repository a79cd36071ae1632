"""Published policy versions: reading them all, publishing one. RULES 1, 2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconsent.domain.change import as_event, content_hash
from reconsent.domain.errors import BadInputError
from reconsent.domain.notice import settled
from reconsent.domain.policy import Policy, PolicyVersion, admit, is_material
from reconsent.facts.cohorts import Cohorts
from reconsent.facts.decisions import refresh_standings
from reconsent.queries import named

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from reconsent.adapters.postgres import Connection

SQL = named("versions")
NOTICES = named("notices")


@dataclass(frozen=True, kw_only=True)
class Policies:
    """Everything published up to a moment."""

    newest: int = 0
    by_name: dict[str, Policy] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    ids: dict[tuple[str, str], int] = field(default_factory=dict)
    versions: dict[int, PolicyVersion] = field(default_factory=dict)
    published_at: dict[int, datetime] = field(default_factory=dict)

    def of_property(self, name: str) -> Policy | None:
        """Return the policy that governs a property; None where none lists it."""
        owner = self.owners.get(name)
        return self.by_name[owner] if owner else None

    def latest_id(self, policy: str) -> int:
        """Return the id of a policy's latest version."""
        return self.ids[policy, self.by_name[policy].latest.version]

    @property
    def latest_ids(self) -> list[int]:
        """The ids of every policy's latest version."""
        return [self.latest_id(name) for name in self.by_name]

    def properties(self, policy: str) -> list[str]:
        """Name the properties that a policy governs."""
        return [name for name, owner in self.owners.items() if owner == policy]

    def at(self, newest: int) -> Policies:
        """Return what had been published when `newest` was the newest version."""
        return _policies(
            {
                version_id: (version, self.published_at[version_id])
                for version_id, version in self.versions.items()
                if version_id <= newest
            }
        )


class PublishedVersions:
    """The published versions, read again only when there are new ones."""

    def __init__(self) -> None:
        """Start without having read any."""
        self._known = Policies()

    def held(self, connection: Connection) -> Policies:
        """Return what is published, and keep it so until the transaction ends."""
        connection.execute(SQL["hold"])
        return self.now(connection)

    def now(self, connection: Connection) -> Policies:
        """Return what is published."""
        row = connection.execute(SQL["newest"]).fetchone()
        if row and row[0] != self._known.newest:
            self._known = read_policies(connection)
        return self._known


def read_policies(connection: Connection) -> Policies:
    """Read every published version."""
    return _policies(
        {
            version_id: (PolicyVersion.model_validate(document), published_at)
            for version_id, document, published_at in connection.execute(SQL["all"])
        }
    )


def _policies(published: dict[int, tuple[PolicyVersion, datetime]]) -> Policies:
    lines: dict[str, tuple[PolicyVersion, ...]] = {}
    for version, _ in published.values():
        lines[version.policy] = (*lines.get(version.policy, ()), version)
    return Policies(
        newest=max(published, default=0),
        by_name={name: Policy(name=name, versions=line) for name, line in lines.items()},
        owners={p: version.policy for version, _ in published.values() for p in version.properties},
        ids={(v.policy, v.version): version_id for version_id, (v, _) in published.items()},
        versions={version_id: version for version_id, (version, _) in published.items()},
        published_at={version_id: at for version_id, (_, at) in published.items()},
    )


def informs(version: PolicyVersion, policy: Policy) -> bool:
    """Tell whether a version asks for information mail about a material change. RULES 10."""
    return version.notice.information_mail == "opted_in" and is_material(
        version, policy.followed_by(version)
    )


def publish(connection: Connection, version: PolicyVersion) -> bool:
    """Publish a version; False where the same one is published already.

    Raises BadInputError where it does not continue its line, or where another text stands
    published under its name: a published version never changes.
    """
    connection.execute(SQL["hold_alone"])
    names = {"policy": version.policy, "version": version.version}
    known = connection.execute(SQL["content_hash"], names).fetchone()
    digest = content_hash(version)
    if known is not None:
        if known[0] == digest:
            return False
        message = f"version: {version.version!r} is published already, with another content"
        raise BadInputError(message)
    policies = read_policies(connection)
    admit(version, policies.by_name.get(version.policy), policies.owners)
    _settle(connection, policies, version.policy)
    document = as_event(version).decode()
    connection.execute(SQL["publish"], names | {"document": document, "content_hash": digest})
    properties = list(version.properties)
    connection.execute(SQL["own_properties"], {"policy": version.policy, "properties": properties})
    # A new version can change which controller was in force when somebody said yes.
    counting = connection.execute(SQL["counting_on_controller"], {"properties": properties})
    refresh_standings(connection, [key for (key,) in counting], read_policies(connection))
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
    settling: dict[str | None, list[UUID]] = {}
    for notice_id, ask_id, *cohort in rows:
        pair = (cohort[0], cohort[1])
        asked = cohorts.asked(connection, [ask_id])[ask_id]
        standing = cohorts.standings(connection, [pair[1]])[pair[1]]
        settling.setdefault(settled(asked, asks[pair], standing), []).append(notice_id)
    for what, notice_ids in settling.items():
        connection.execute(NOTICES["settle"], {"settled": what, "notice_ids": notice_ids})
