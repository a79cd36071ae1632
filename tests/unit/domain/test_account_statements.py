"""What follows from the statements about an account, in any order. RULES 27."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.account import Profile, merged, without_person
from reconsent.domain.account_statements import MAY_TRADE_PLACES, Statements

NOW: Final = datetime(2026, 11, 1, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
_STATED: Final = st.integers(5, 12).map(lambda minute: NOW + minute * MINUTE)
_ARRIVALS: Final = st.lists(
    st.integers(0, 12).map(lambda minute: NOW + minute * MINUTE), min_size=1
)
_PROFILES: Final = st.builds(
    Profile,
    status=st.sampled_from(["active", "deactivated", "deleted"]),
    contact=st.sampled_from(["all", "none"]),
    minor=st.sampled_from([False, False, False, True]),
    email=st.sampled_from([None, "a@example.org", "b@example.org"]),
    name=st.sampled_from([None, "Ann"]),
).map(without_person)  # what nobody keeps tells no statements apart


@given(said=st.dictionaries(st.tuples(_STATED, _PROFILES), _ARRIVALS, max_size=4), data=st.data())
def test_the_profile_is_the_same_in_any_order(
    said: dict[tuple[datetime, Profile], Sequence[datetime]], data: st.DataObject
) -> None:
    """Each statement counts from its earliest copy, whichever is read first."""
    copies = data.draw(
        st.permutations([(key, at) for key, arrivals in said.items() for at in arrivals])
    )
    statements = Statements()
    for (stated_at, profile), came_in in copies:
        statements.add(replace(profile, updated_at=min(stated_at, came_in)), stated_at)
    events = [
        replace(profile, updated_at=min(stated_at, *arrivals))
        for (stated_at, profile), arrivals in said.items()
    ]
    assert statements.now == reduce(merged, events, Profile())


def test_what_cannot_count_last_any_more_is_not_kept() -> None:
    """Nor the only one, which the profile has."""
    statements = Statements()
    first = Profile(email="a@example.org", updated_at=NOW)
    statements.add(first, NOW)
    assert not statements.to_keep()
    soon = NOW + MINUTE
    statements.add(replace(first, email="b@example.org", updated_at=soon), soon)
    assert set(statements.to_keep().values()) == {NOW, soon}
    late = soon + MAY_TRADE_PLACES
    statements.add(replace(first, email="c@example.org", updated_at=late), late)
    assert not statements.to_keep()
