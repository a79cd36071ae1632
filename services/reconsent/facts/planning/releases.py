"""Taking a version through all accounts of its policy, a range of keys at a time. RULES 9, 10.

A range is planned in parts, each of other buckets, and each in a transaction of its own: it also
notes how far planning came in its buckets, so that it goes on from there after any crash.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.domain.bucket import BUCKETS
from reconsent.facts.changes import PLANNER, any_changes, lock_planning
from reconsent.facts.planning.first import Cohort, plan_first
from reconsent.facts.planning.steps import Looked, take_steps
from reconsent.facts.sending.releases import ReleaseFlags, any_flags_to_apply, flags
from reconsent.facts.slices import next_range
from reconsent.facts.versions import informs
from reconsent.store.named import named
from reconsent.store.postgres import look_up_by_index
from reconsent.store.rows import all_rows, values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconsent.domain.policy import Policy
    from reconsent.facts.sets import Cohorts
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("planning/releases")

# A release of a few accounts is planned at once, without a second process of the server.
_FEW: Final = 2000
LANES: Final = 2
# Lanes wait for one another after so many ranges, and others for the lock of planning.
_AT_ONCE: Final = 2
_NOBODY: Final = 2**63 - 1


class _Unplanned(NamedTuple):
    """A version whose planning is not finished, and up to which account it came in all buckets."""

    version_id: int
    planned_to: int


class _Reached(NamedTuple):
    bucket: int
    planned_to: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """Accounts of some buckets, with keys after `after` and up to `upto`.

    `inform_after` has the account after which a version informs, by bucket.
    """

    policy: Policy
    flags: ReleaseFlags
    properties: Sequence[str]
    after: int
    upto: int
    buckets: Sequence[int]
    inform_after: Sequence[int]
    unsent: bool

    @property
    def version_id(self) -> int:
        """The version that is planned."""
        return self.flags.version_id


def begin_planning(connection: Connection) -> None:
    """Let no other transaction plan until this one ends."""
    lock_planning(connection)
    look_up_by_index(connection)


def any_to_plan(connection: Connection, policies: Policies) -> bool:
    """Tell whether anything waits to be planned, also what is only about to be committed."""
    look_up_by_index(connection)
    unplanned = values(connection, SQL["any_unplanned"]) == [True]
    touched = any_changes(connection, PLANNER)
    return unplanned or touched or any_flags_to_apply(connection, policies)


def informs_somebody(connection: Connection, policies: Policies, policy: Policy) -> bool:
    """Tell whether any version that is not planned yet asks for information mail."""
    unplanned = _unplanned(connection, policies, policy)
    return any(informs(policies.versions[version_id], policy) for version_id in unplanned)


def unsent_information(connection: Connection, policies: Policies, policy: Policy) -> bool:
    """Tell whether information of earlier versions was not sent, and passes on to the latest."""
    earlier = [policies.ids[policy.name, version.version] for version in policy.versions[:-1]]
    return values(connection, SQL["unsent"], {"versions": earlier}) == [True]


def next_parts(
    connection: Connection, policies: Policies, policy: Policy, limit: int
) -> list[list[Part]] | None:
    """Return the next accounts for which a policy's latest version is planned, in parts.

    The parts of one list are planned one after the other, the lists at the same time. None where
    the version is planned; none where it just became so. Earlier versions whose planning is not
    finished are planned together with it.
    """
    unplanned = _unplanned(connection, policies, policy)
    if not unplanned:
        return None
    latest = policies.latest_id(policy.name)
    ranges = list(_ranges(connection, unplanned[latest], limit))
    if not ranges:
        finished = {"version_id": latest, "versions": list(unplanned)}
        connection.execute(SQL["finish"], finished)
        connection.execute(SQL["forget_progress"], finished)
        return []
    informing = [one for one in unplanned if informs(policies.versions[one], policy)]
    reached = dict(all_rows(connection, _Reached, SQL["inform_after"], {"versions": informing}))
    whole = Part(
        policy=policy,
        flags=flags(connection, latest),
        properties=policies.properties(policy.name),
        after=0,
        upto=0,
        buckets=range(BUCKETS),
        inform_after=[reached.get(bucket, _NOBODY) for bucket in range(BUCKETS)],
        unsent=unsent_information(connection, policies, policy),
    )
    lanes = 1 if len(ranges) == 1 else LANES
    return [
        [
            replace(whole, after=after, upto=upto, buckets=range(first, BUCKETS, lanes))
            for after, upto in ranges
        ]
        for first in range(lanes)
    ]


def _ranges(connection: Connection, after: int, limit: int) -> Iterator[tuple[int, int]]:
    """Yield the next ranges of keys with up to `limit` accounts each; at first one of a few."""
    if after == 0:
        limit, ranges = min(limit, _FEW), 1
    else:
        ranges = _AT_ONCE
    for _ in range(ranges):
        upto = next_range(connection, after=after, limit=limit)
        if upto is None:
            return
        yield after, upto
        after = upto


def plan_part(
    connection: Connection, cohorts: Cohorts, part: Part, known: Mapping[Cohort, int]
) -> None:
    """Plan a part, while another transaction lets nobody else plan.

    Raises UnknownCohortsError, with which nothing is planned.
    """
    look_up_by_index(connection)
    which: dict[str, Any] = {
        "version_id": part.version_id,
        "after": part.after,
        "upto": part.upto,
        "properties": part.properties,
        "inform_after": part.inform_after,
        "unsent": part.unsent,
    }
    # A planner that was presumed dead may have come here too.
    which["buckets"] = values(connection, SQL["advance"], which | {"buckets": list(part.buckets)})
    with_notices = values(connection, SQL["with_notices"], which)
    if with_notices:
        looked = Looked(
            policy=part.policy,
            flags=part.flags,
            keys=with_notices,
            release=True,
            unsent=part.unsent,
            inform_after=part.inform_after,
        )
        take_steps(connection, cohorts, looked)
    which["with_notices"] = with_notices
    plan_first(connection, part.flags, known=known, which=which)


def _unplanned(connection: Connection, policies: Policies, policy: Policy) -> dict[int, int]:
    """Return how far the planning of a policy's versions came that is not finished."""
    ids = [policies.ids[policy.name, version.version] for version in policy.versions]
    return dict(all_rows(connection, _Unplanned, SQL["unplanned"], {"versions": ids}))
