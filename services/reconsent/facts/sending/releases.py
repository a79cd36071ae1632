"""Releases: pausing one, resuming it, cancelling it for good.

A flag counts at once: no claim takes notices of a release that is paused or cancelled. Its unmailed
notices get the state that follows from it a slice at a time, by the planner or the command itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, LiteralString

from psycopg.rows import class_row
from psycopg.sql import SQL as COMPOSED

from reconsent.domain.errors import BadInputError
from reconsent.domain.spelling import did_you_mean
from reconsent.facts.changes import lock_planning
from reconsent.facts.read.counts import count_notices
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.notice import State
    from reconsent.facts.read.counts import NoticeCount
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("sending/releases")
_NOT_AS_FLAGGED: Final = COMPOSED(SQL["not_as_flagged"])
_APPLY_FLAGS: Final = COMPOSED(SQL["apply_flags"]).format(not_as_flagged=_NOT_AS_FLAGGED)
_ANY_FLAGS_TO_APPLY: Final = COMPOSED(SQL["any_flags_to_apply"]).format(
    not_as_flagged=_NOT_AS_FLAGGED
)
Order = Literal["pause", "resume", "cancel"]


@dataclass(frozen=True, kw_only=True)
class ReleaseFlags:
    """Whether a version's release is paused, or was cancelled."""

    version_id: int
    paused: bool
    cancelled: bool

    @property
    def ready(self) -> State:
        """The state of a notice of this release that nothing else keeps from being sent."""
        return "planned" if self.paused else "due"


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A release as it is stored."""

    version_id: int
    state: str
    paused: bool
    cancelled: bool


@dataclass(frozen=True, kw_only=True)
class Release:
    """The rolling out of one version; `counts` are of its notices."""

    policy: str
    policy_version: str
    state: str
    counts: Sequence[NoticeCount]


def flags(connection: Connection, version_id: int) -> ReleaseFlags:
    """Return the flags of a version's release."""
    [found] = _flags(connection, [version_id])
    return found


def releases(connection: Connection, policies: Policies) -> list[Release]:
    """List the releases in the order of publication, with the counts of their notices."""
    counts = count_notices(connection, policies)
    found = []
    cursor = connection.cursor(row_factory=class_row(_Row))
    for row in cursor.execute(SQL["list"]):
        version = policies.versions[row.version_id]
        latest = policies.latest_id(version.policy) == row.version_id
        shown = "cancelled" if row.cancelled else "paused" if row.paused else row.state
        of_version = [
            count
            for count in counts
            if (count.policy, count.policy_version) == (version.policy, version.version)
        ]
        if shown in {"sending", "paused"} and not latest:
            shown = "done"
        if shown == "sending" and not any(
            count.state in {"planned", "due", "attempting"} for count in of_version
        ):
            shown = "done"
        release = Release(
            policy=version.policy,
            policy_version=version.version,
            state=shown,
            counts=of_version,
        )
        found.append(release)
    return found


def current_release(policies: Policies, policy: str, version: str) -> int:
    """Return the id of a policy's latest version. Raises BadInputError if it is not that one."""
    version_id = policies.ids.get((policy, version))
    if version_id is None:
        known = policies.by_name.get(policy)
        versions = ", ".join(v.version for v in known.versions) if known else ""
        raise BadInputError(
            f"release: {policy} {version} is not published"
            + (f"; {policy} has {versions}" if versions else did_you_mean(policy, policies.by_name))
        )
    if version_id != policies.latest_id(policy):
        latest = policies.by_name[policy].latest.version
        raise BadInputError(f"release: {policy} {version} is over: {latest} was published")
    return version_id


def order(
    connection: Connection, policies: Policies, what: Order, policy: str, version: str
) -> bool:
    """Pause, resume or cancel a release; False where it is so already. Raises BadInputError."""
    version_id = current_release(policies, policy, version)
    # Planning sees the flag, or is over before it: none of its notices slips through.
    lock_planning(connection)
    if what != "cancel" and flags(connection, version_id).cancelled:
        raise BadInputError(f"release: {policy} {version} was cancelled, which is permanent")
    queries: dict[Order, LiteralString] = {
        "pause": SQL["pause"],
        "resume": SQL["resume"],
        "cancel": SQL["cancel"],
    }
    return bool(connection.execute(queries[what], {"version_id": version_id}).rowcount)


def apply_flags(connection: Connection, policies: Policies, limit: int) -> bool:
    """Give up to `limit` unmailed notices the state that follows from their release's flags.

    The caller has locked planning. Claims go on meanwhile, and keep what they have taken.
    """
    wanted = _by_flags(connection, policies) | {"limit": limit}
    return bool(connection.execute(_APPLY_FLAGS, wanted).rowcount)


def any_flags_to_apply(connection: Connection, policies: Policies) -> bool:
    """Tell whether an unmailed notice has another state than follows from its release's flags."""
    wanted = _by_flags(connection, policies)
    [(found,)] = connection.execute(_ANY_FLAGS_TO_APPLY, wanted).fetchall()
    return bool(found)


def _by_flags(connection: Connection, policies: Policies) -> dict[str, Any]:
    """Sort the releases of the latest versions by their flags."""
    found = _flags(connection, policies.latest_ids)
    cancelled = [one.version_id for one in found if one.cancelled]
    paused = [one.version_id for one in found if one.paused and not one.cancelled]
    return {
        "cancelled": cancelled,
        "paused": paused,
        "not_planned": [one.version_id for one in found if one.version_id not in paused],
        "not_due": paused + cancelled,
    }


def _flags(connection: Connection, version_ids: Sequence[int]) -> list[ReleaseFlags]:
    cursor = connection.cursor(row_factory=class_row(ReleaseFlags))
    return cursor.execute(SQL["flags"], {"versions": version_ids}).fetchall()
