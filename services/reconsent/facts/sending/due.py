"""Taking notices that are due, under lock, with their accounts as they are then. RULES 14."""

from __future__ import annotations

import random
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from psycopg.sql import SQL as COMPOSED

from reconsent.domain.notice import REACHES, Kind, Reach, State
from reconsent.store.named import named
from reconsent.store.postgres import look_up_by_index
from reconsent.store.rows import rows_of

if TYPE_CHECKING:
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("sending/due")
_IS_DUE: Final = COMPOSED(SQL["is_due"])
_END_DEFERRAL: Final = COMPOSED(SQL["end_deferral"]).format(is_due=_IS_DUE)
_CLAIM: Final = COMPOSED(SQL["claim"]).format(is_due=_IS_DUE)
_FIRST_ASKS: Final = COMPOSED(SQL["first_asks"]).format(is_due=_IS_DUE)
_ANY_DUE: Final = COMPOSED(SQL["any_due"]).format(is_due=_IS_DUE)
# How many asks a claim gathers from all buckets.
_GATHERED: Final = 32
# No ask has these ids.
_BEFORE_ALL: Final = -(2**63)
_AFTER_ALL: Final = 2**63 - 1


class Lane(NamedTuple):
    """A share of the buckets, so that a sender can make several claims at once."""

    number: int
    lanes: int


class Claimed(NamedTuple):
    """A locked notice, with its account as it is at this moment; columns of the query.

    What begins with `about` is of the notice that a reminder is about, and None for others. Without
    an `email` the notice is suppressed. `arrived_ask_id` is what a notice asked that it repeats and
    that has arrived.
    """

    account_key: int
    notice_id: UUID
    kind: Kind
    version_id: int
    property_name: str
    email: str
    name: str | None
    locale: str | None
    address_hash: bytes
    reach_number: int
    holdings_id: int
    standing_id: int
    about: UUID | None
    about_state: State | None
    about_ask_id: int | None
    about_open: bool | None
    about_accepted_at: datetime | None
    arrived_ask_id: int | None

    @property
    def cohort(self) -> tuple[int, int]:
        """The (holdings, standing) ids, which decide what is asked."""
        return self.holdings_id, self.standing_id

    @property
    def reach(self) -> Reach:
        """What decides whether the account may be mailed."""
        return REACHES[self.reach_number]

    @property
    def asks_on(self) -> UUID | None:
        """The notice whose page the link opens; a reminder's is that of what it reminds of."""
        if self.kind == "reminder":
            return self.about
        return self.notice_id if self.kind == "choice" else None


_ROWS: Final = rows_of(Claimed)


def claim_due(
    connection: Connection, policies: Policies, limit: int, now: datetime, lane: Lane
) -> list[Claimed]:
    """Claim notices version by version, those that share an ask together.

    The buckets of other lanes come after those of this one.
    """
    due: dict[str, Any] = {"latest": policies.latest_ids, "limit": limit, "now": now}
    connection.execute(_END_DEFERRAL, due)
    claimed: list[Claimed] = []
    for turn in range(lane.lanes):
        place = due | {"lanes": lane.lanes, "lane": (lane.number + turn) % lane.lanes}
        for version_id in policies.latest_ids:
            _claim_version(connection, place | {"version_id": version_id}, claimed, limit)
    return claimed


def _claim_version(
    connection: Connection, due: dict[str, Any], claimed: list[Claimed], limit: int
) -> None:
    """Claim notices of a version from all buckets, up to `limit` with those claimed before.

    The first asks are gathered one by one, so that requests that share a mail are full. Others are
    taken bucket by bucket: there may be as many asks as accounts.
    """
    after = _BEFORE_ALL
    for turn in range(_GATHERED + 1):
        if len(claimed) >= limit:
            return
        place = due | {"after": after}
        firsts: dict[int, int] = dict(connection.execute(_FIRST_ASKS, place))
        if not firsts:
            return
        upto = min(firsts.values()) if turn < _GATHERED else _AFTER_ALL
        buckets = [bucket for bucket, ask in firsts.items() if ask <= upto]
        random.shuffle(buckets)  # other dispatchers begin elsewhere
        with connection.cursor(row_factory=_ROWS) as cursor:
            for bucket in buckets:
                if len(claimed) >= limit:
                    return
                left = {"bucket": bucket, "upto": upto, "limit": limit - len(claimed)}
                claimed += cursor.execute(_CLAIM, place | left, prepare=True)
        after = upto


def any_due(connection: Connection, policies: Policies, now: datetime) -> bool:
    """Tell whether a notice waits to be sent."""
    look_up_by_index(connection)
    due = {"latest": policies.latest_ids, "now": now}
    [(found,)] = connection.execute(_ANY_DUE, due).fetchall()
    return bool(found)
