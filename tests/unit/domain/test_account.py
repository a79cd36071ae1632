"""Account events give the same account in any order. RULES 27, 28."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.account import Profile, merged

START = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = st.builds(
    Profile,
    status=st.sampled_from(("active", "deactivated", "deleted")),
    contact=st.sampled_from(("all", "service", "none")),
    minor=st.booleans(),
    email=st.sampled_from((None, "a@example.org", "b@example.org")),
    name=st.sampled_from((None, "Ann")),
    locale=st.sampled_from((None, "nb")),
    updated_at=st.integers(0, 3).map(lambda days: START + timedelta(days=days)),
)


@given(st.lists(EVENTS, max_size=6).flatmap(lambda e: st.tuples(st.just(e), st.permutations(e))))
def test_order_does_not_matter(orders: tuple[list[Profile], list[Profile]]) -> None:
    """Two orders of the same events give the same account."""
    one, other = (reduce(merged, events, Profile()) for events in orders)
    assert one == other


@given(st.lists(EVENTS, max_size=6))
def test_the_same_again_changes_nothing(events: list[Profile]) -> None:
    """Replaying every event leaves the account as it was."""
    once = reduce(merged, events, Profile())
    assert reduce(merged, events, once) == once


@given(st.lists(EVENTS, min_size=1, max_size=6))
def test_of_equal_times_the_stricter_wins(events: list[Profile]) -> None:
    """Among the latest events the strictest status, contact and minor count, each by itself."""
    account = reduce(merged, events, Profile())
    times = [event.updated_at for event in events if event.updated_at]
    latest = [event for event in events if event.updated_at == max(times)]
    assert account.minor == any(event.minor for event in latest)
    for status in ("deleted", "deactivated", "active"):
        if any(event.status == status for event in latest):
            assert account.status == status
            break


@given(st.lists(EVENTS, min_size=1, max_size=6))
def test_nothing_personal_outlives_a_deletion_or_stays_with_a_minor(events: list[Profile]) -> None:
    """A deleted or minor account has no name and no address."""
    account = reduce(merged, events, Profile())
    if account.status == "deleted" or account.minor:
        assert account.email is None
        assert account.name is None
