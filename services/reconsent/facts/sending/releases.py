"""Releases: holding one back, letting it go on, stopping it for good.

The flag counts at once: no claim takes notices of a release that is held back. What state its
unmailed notices have follows, a slice at a time, by whoever plans or by the command itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from reconsent.domain.errors import BadInputError
from reconsent.facts.read.counts import count_notices
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.facts.read.counts import NoticeCount
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("sending/releases")
RELEASES = named("read/releases")
Order = Literal["pause", "resume", "cancel"]


@dataclass(frozen=True)
class HeldBack:
    """Whether a release is paused, or was cancelled."""

    paused: bool = False
    cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class Release:
    """The rolling out of one version; `counts` are of its notices."""

    policy: str
    policy_version: str
    state: str
    counts: Sequence[NoticeCount]


def held_back(connection: Connection, version_id: int) -> HeldBack:
    """Tell whether a version's release is held back."""
    row = connection.execute(SQL["flags"], {"versions": [version_id]}).fetchone()
    return HeldBack(*row[1:]) if row else HeldBack()


def releases(connection: Connection, policies: Policies) -> list[Release]:
    """List the releases in the order of publication, with the counts of their notices."""
    counts = count_notices(connection, policies)
    found = []
    for version_id, state, paused_at, cancelled_at in connection.execute(RELEASES["list"]):
        version = policies.versions[version_id]
        latest = policies.latest_id(version.policy) == version_id
        shown = "cancelled" if cancelled_at else "paused" if paused_at else state
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


def order(
    connection: Connection, policies: Policies, what: Order, policy: str, version: str
) -> bool:
    """Pause, resume or cancel a release; False where it is so already. Raises BadInputError."""
    version_id = policies.ids.get((policy, version))
    if version_id is None:
        known = policies.by_name.get(policy)
        versions = ", ".join(v.version for v in known.versions) if known else ""
        raise BadInputError(
            f"release: {policy} {version} is not published"
            + (f"; {policy} has {versions}" if versions else "")
        )
    if version_id != policies.latest_id(policy):
        latest = policies.by_name[policy].latest.version
        raise BadInputError(f"release: {policy} {version} is over, for {latest} was published")
    # Planning sees the flag, or is over before it: none of its notices slips through.
    connection.execute(SQL["lock"])
    if what != "cancel" and held_back(connection, version_id).cancelled:
        raise BadInputError(f"release: {policy} {version} was cancelled, which is for good")
    return bool(connection.execute(SQL[what], {"version_id": version_id}).rowcount)


def follow(connection: Connection, policies: Policies, limit: int) -> bool:
    """Give up to `limit` unmailed notices the state that their release gives them.

    The caller holds the planner's lock: whoever claims at the same time takes what it finds.
    """
    wanted = _flags(connection, policies) | {"limit": limit}
    return bool(connection.execute(SQL["follow"], wanted).rowcount)


def any_to_follow(connection: Connection, policies: Policies) -> bool:
    """Tell whether any unmailed notice has another state than its release gives it."""
    row = connection.execute(SQL["any_to_follow"], _flags(connection, policies)).fetchone()
    return bool(row and row[0])


def _flags(connection: Connection, policies: Policies) -> dict[str, Any]:
    """Sort the releases that count by whether they go on."""
    rows = connection.execute(SQL["flags"], {"versions": policies.latest_ids}).fetchall()
    return {
        "cancelled": [version for version, _, cancelled in rows if cancelled],
        "paused": [version for version, paused, cancelled in rows if paused and not cancelled],
        "going_on": [version for version, paused, cancelled in rows if not paused | cancelled],
    }
