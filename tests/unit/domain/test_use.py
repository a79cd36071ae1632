"""Uses of data: what covers what, and where two meet. RULES 3, 6."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.use import ANY, Use, broadest, covers, meet, over

CATEGORIES = ("user", "user.contact", "user.contact.email", "user.con", "user.payment")
USES = ("marketing", "marketing.email", "analytics")


def uses(*, wild: bool = False) -> st.SearchStrategy[Use]:
    """Draw uses; wild ones leave out category, version or recipient."""
    any_of = (ANY,) if wild else ()
    return st.builds(
        Use,
        st.sampled_from(CATEGORIES + any_of),
        st.sampled_from((None, "v1", "v2", *any_of)),
        st.sampled_from(USES),
        st.sampled_from(("acme", "partner", *any_of)),
    )


def test_a_parent_is_told_from_a_shared_beginning() -> None:
    """`user.contact` is over `user.contact.email`; `user.con` is not."""
    assert over("user.contact", "user.contact.email")
    assert not over("user.con", "user.contact.email")


def test_an_unknown_version_equals_only_an_unknown_one() -> None:
    """Null covers null, and no version that has a name."""
    unknown = Use("user", None, "marketing", "acme")
    assert covers(unknown, unknown)
    assert not covers(unknown, unknown._replace(collected_under="v1"))
    assert meet(unknown, unknown._replace(collected_under="v1")) is None


@given(uses(wild=True), uses(), uses())
def test_covering_is_transitive(one: Use, other: Use, third: Use) -> None:
    """A use that covers another covers everything that the other one covers."""
    if covers(one, other) and covers(other, third):
        assert covers(one, third)


@given(uses(wild=True), uses())
def test_the_meet_lies_in_both(one: Use, other: Use) -> None:
    """Where two uses meet, each covers what they have in common."""
    common = meet(one, other)
    if common is not None:
        assert covers(one, common)
        assert covers(other, common)
    else:
        assert not covers(one, other)
        assert not covers(other, one)


@given(uses(wild=True), uses())
def test_meeting_is_mutual(one: Use, other: Use) -> None:
    """It does not matter which of two is named first."""
    assert meet(one, other) == meet(other, one)


@given(st.lists(uses()))
def test_the_broadest_cover_all_and_none_covers_another(drawn: list[Use]) -> None:
    """Leaving out what another use covers loses nothing and leaves no duplicates."""
    kept = broadest(drawn)
    assert all(any(covers(use, other) for use in kept) for other in drawn)
    assert not any(covers(one, other) for one in kept for other in kept if one != other)
