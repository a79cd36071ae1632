"""What a version ends for data already held, told beforehand: as permit answers then."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.account import PermissionSubject
from reconsent.domain.permission import permit
from reconsent.domain.policy import Policy, PolicyVersion
from reconsent.domain.policy_ends import uses_end, uses_go_on
from reconsent.domain.use import Held, Use, narrower
from tests.drafts import any_version, draft, row

_HELD = st.lists(
    st.builds(
        Held,
        st.sampled_from(["user", "user.contact", "user.contact.email", "user.payment"]),
        st.sampled_from(["v1", "v1", None]),
    ),
    max_size=3,
)
_ACTIVE = PermissionSubject(status="active", contact="all", minor=False, decisions=())


def _line(before: PolicyVersion, after: PolicyVersion) -> Policy:
    first = before.model_copy(update={"version": "v1", "follows": None})
    later = after.effective_at + timedelta(days=30)
    second = after.model_copy(update={"version": "v2", "follows": "v1", "effective_at": later})
    return Policy(name="campaigner", versions=(first, second))


@given(before=any_version(), after=any_version(), held=_HELD)
def test_uses_by_the_company_end_exactly_if_permit_says_so(
    before: PolicyVersion, after: PolicyVersion, held: list[Held]
) -> None:
    """Asked without a recipient, before the version takes effect and from then on."""
    policy = _line(before, after)
    first, second = policy.versions
    ends = set()
    for pair in held:
        for use in first.declared:
            category = narrower(pair.data_category, use.data_category)
            if category is None:
                continue
            asked = [
                permit(
                    _ACTIVE, policy,
                    Use(category, pair.collected_under, use.data_use, version.controller),
                    version.effective_at,
                ).allowed
                for version in (first, second)
            ]  # fmt: skip
            ends.add(asked == [True, False])
    assert uses_end(policy, held) == (True in ends)


def test_a_dropped_use_goes_on() -> None:
    """RULES 11; what a controller did that is none any more is told as its end."""
    row_ = row("user.contact", "service", "marketing", recipients=["payer"])
    held = [Held("user.contact.email", "v1")]
    before = draft(declares=[row_])
    dropped = draft(declares=[row("user.contact", "service", recipients=["payer"])])
    assert uses_go_on(_line(before, dropped), held)
    assert not uses_go_on(_line(before, dropped), [Held("user.payment", "v1")])
    assert not uses_go_on(_line(before, dropped), [Held("user.contact.email", None)])
    assert not uses_go_on(_line(before, before), held)
    assert not uses_end(_line(before, dropped), held)
    moved = draft(declares=[row_], controller="sister")
    assert uses_end(_line(before, moved), held)
    assert not uses_go_on(_line(before, moved), held)
    listed = draft(declares=[row("user.contact", "service", "marketing", recipients=["sister"])])
    assert not uses_end(_line(listed, moved), held)
