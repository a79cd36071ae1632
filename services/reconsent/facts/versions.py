"""The published policy versions. RULES 1, 2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from reconsent.domain.policy import Policy, PolicyVersion, is_material
from reconsent.store.named import named
from reconsent.store.postgres import restores
from reconsent.store.rows import all_rows, one_row

if TYPE_CHECKING:
    from datetime import datetime

    from reconsent.store.postgres import Connection

SQL = named("versions")


@dataclass(frozen=True, kw_only=True)
class Policies:
    """Everything that was published at some point."""

    newest: int = 0
    by_name: dict[str, Policy] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    ids: dict[tuple[str, str], int] = field(default_factory=dict)
    versions: dict[int, PolicyVersion] = field(default_factory=dict)
    published_at: dict[int, datetime] = field(default_factory=dict)
    hashes: dict[int, str] = field(default_factory=dict)

    def of_property(self, name: str) -> Policy | None:
        """Return the policy that governs a property; None if no policy lists it."""
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
        """List the properties that a policy governs."""
        return [name for name, owner in self.owners.items() if owner == policy]

    def at(self, newest: int) -> Policies:
        """Return what had been published when `newest` was the newest version."""
        return _policies(
            {
                version_id: _Published(
                    version, self.published_at[version_id], self.hashes[version_id]
                )
                for version_id, version in self.versions.items()
                if version_id <= newest
            }
        )


class PublishedVersions:
    """The published versions; each one is read and validated once.

    A rolled back publication leaves no trace: another version that gets its id has another hash.
    """

    def __init__(self) -> None:
        """Start without having read any."""
        self._known = Policies()
        self._restores = restores()

    def locked(self, connection: Connection) -> Policies:
        """Return what is published, and prevent publications until the transaction ends."""
        connection.execute(SQL["lock"])
        return self.now(connection)

    def now(self, connection: Connection) -> Policies:
        """Return what is published now; threads may share the result."""
        now = restores()
        if self._restores != now:
            self._restores = now
            self._known = Policies()
        known = self._known
        newest = one_row(connection, _Newest, SQL["newest"]) or _Newest(0, "")
        if newest != (known.newest, known.hashes.get(known.newest, "")):
            known = self._known = _read_new_ones(connection, known)
        return known


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A version as it is stored."""

    version_id: int
    document: Any
    published_at: datetime
    content_hash: str


class _Newest(NamedTuple):
    version_id: int
    content_hash: str


class _Published(NamedTuple):
    """A version, when it was published, and the hash of its content."""

    version: PolicyVersion
    at: datetime
    content_hash: str


def _read_new_ones(connection: Connection, known: Policies) -> Policies:
    published: dict[int, _Published] = {}
    unknown = []
    for one in all_rows(connection, _Newest, SQL["ids"]):
        if known.hashes.get(one.version_id) == one.content_hash:
            published[one.version_id] = _Published(
                known.versions[one.version_id],
                known.published_at[one.version_id],
                one.content_hash,
            )
        else:
            unknown.append(one.version_id)
    for row in all_rows(connection, _Row, SQL["read"], {"ids": unknown}):
        version = PolicyVersion.model_validate(row.document)
        published[row.version_id] = _Published(version, row.published_at, row.content_hash)
    return _policies(dict(sorted(published.items())))


def _policies(published: dict[int, _Published]) -> Policies:
    lines: dict[str, tuple[PolicyVersion, ...]] = {}
    for version, *_ in published.values():
        lines[version.policy] = (*lines.get(version.policy, ()), version)
    return Policies(
        newest=max(published, default=0),
        by_name={name: Policy(name=name, versions=line) for name, line in lines.items()},
        owners={
            p: one.version.policy for one in published.values() for p in one.version.properties
        },
        ids={(v.policy, v.version): version_id for version_id, (v, *_) in published.items()},
        versions={version_id: one.version for version_id, one in published.items()},
        published_at={version_id: one.at for version_id, one in published.items()},
        hashes={version_id: one.content_hash for version_id, one in published.items()},
    )


def informs(version: PolicyVersion, policy: Policy) -> bool:
    """Tell whether a version asks for information mail about a material change. RULES 10."""
    return version.notice.information_mail == "opted_in" and is_material(
        version, policy.followed_by(version)
    )
