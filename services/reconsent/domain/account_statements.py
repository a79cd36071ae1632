"""What account events said of one account, each from when it counts. RULES 27.

The same statement may come in several times, on several ways. It counts from when it came in first,
also where that copy is read last: then what the profile was derived from has changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.account import Contact, Profile, Status, merged, strictest, without_person

if TYPE_CHECKING:
    from collections.abc import Mapping

MAY_TRADE_PLACES: Final = timedelta(days=7)
"""How much later another event must count for the details of an earlier one not to be kept."""


class Counted(NamedTuple):
    """From when a statement counts; `before`: from when it did, if that was later."""

    at: datetime
    before: datetime | None


class State(NamedTuple):
    """What the history keeps of a statement, and as of when it was stated."""

    stated_at: datetime
    status: Status
    contact: Contact
    minor: bool

    @property
    def bare(self) -> Profile:
        """The state as a profile without details."""
        return Profile(status=self.status, contact=self.contact, minor=self.minor)


class Statement(NamedTuple):
    """A whole statement, and as of when it was stated; the profile has no times of its own."""

    stated_at: datetime
    profile: Profile

    @property
    def state(self) -> State:
        """What the history keeps of it."""
        said = self.profile
        return State(self.stated_at, said.status, said.contact, said.minor)


@dataclass(kw_only=True)
class Statements:
    """The statements of an account: their states, and those that are known as a whole.

    Both with the times from which they count. `now` is the profile that follows; `new` has the
    states that were added.
    """

    now: Profile = field(default_factory=Profile)
    states: dict[State, datetime] = field(default_factory=dict)
    whole: dict[Statement, datetime] = field(default_factory=dict)
    new: list[tuple[State, datetime]] = field(default_factory=list)

    def add(self, event: Profile, stated_at: datetime) -> Counted:
        """Add what an event says, which counts from its `updated_at` at the latest."""
        at = event.updated_at or stated_at
        said = statement(event, stated_at)
        before = self._counted(said, at)
        if before is not None:
            at = min(at, before)
            if said not in self.whole:
                self.whole.pop(Statement(stated_at, said.state.bare), None)  # it had these details
        self.whole[said] = at
        if at < self.states.get(said.state, datetime.max.replace(tzinfo=UTC)):
            self.states[said.state] = at
            self.new.append((said.state, at))
        if before is not None and at < before:
            self.now = self._derived()
            return Counted(at, before)
        self.now = merged(self.now, replace(event, updated_at=at))
        return Counted(at, None)

    def _counted(self, said: Statement, at: datetime) -> datetime | None:
        """Return from when a statement, now said to count from `at`, has counted; None if new."""
        if said in self.whole:
            return self.whole[said]
        # Of others only the state is known: it is theirs unless it is that of a known one. What was
        # said before and is ahead of its time never counts later than before: it is another one.
        known = self.states.get(said.state)
        is_of_another = any(
            other.state == said.state and not self._may_lack_details(other) for other in self.whole
        )
        return None if is_of_another or known is None or known < at else known

    def _may_lack_details(self, one: Statement) -> bool:
        """Tell whether a statement may have had details, which a deletion erased."""
        return self.now.deleted_at is not None and one.profile == one.state.bare

    def _derived(self) -> Profile:
        """Derive the profile; it has no details where only the state is known."""
        known = {other.state for other in self.whole}
        found = [(at, one.profile) for one, at in self.whole.items()]
        found += [(at, state.bare) for state, at in self.states.items() if state not in known]
        latest = max(at for at, _ in found)
        last = [profile for at, profile in found if at == latest]
        detailed = [one.profile for one, at in self.whole.items() if at == latest]
        deleted = [at for at, profile in found if profile.status == "deleted"]
        profile = replace(
            strictest(last, details=max(detailed or last, key=lambda one: one.details)),
            updated_at=latest,
            deleted_at=max(deleted, default=self.now.deleted_at),
        )
        return without_person(profile)

    @property
    def stated_at(self) -> datetime | None:
        """The time that the latest statement states, if it counts from an earlier one."""
        at = self.now.updated_at
        stated = [state.stated_at for state, since in self.states.items() if since == at]
        return min((one for one in stated if one != at), default=None)

    @property
    def minor_at(self) -> datetime | None:
        """The latest time as of which the owner was said to be a minor."""
        return max((at for state, at in self.states.items() if state.minor), default=None)

    def to_keep(self) -> Mapping[Statement, datetime]:
        """Return the statements of which more than the state is to be kept.

        Another may count before the last of them once a copy of that is read. There are none of
        before a deletion, none of minors, and none if the profile has all there is.
        """
        now = self.now
        if now.updated_at is None or now.status == "deleted" or now.minor:
            return {}
        after = now.updated_at - MAY_TRADE_PLACES
        kept = {
            one: at
            for one, at in self.whole.items()
            if at > after
            and (now.deleted_at is None or at > now.deleted_at)
            and one.profile.status != "deleted"
            and not one.profile.minor
        }
        return kept if len(kept) > 1 else {}


def statement(event: Profile, stated_at: datetime) -> Statement:
    """Return what an event, or the profile of an account with one, states."""
    return Statement(stated_at, without_person(replace(event, updated_at=None, deleted_at=None)))
