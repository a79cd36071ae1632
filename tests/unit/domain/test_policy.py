"""What policy versions declare, and what is new in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.policy import Policy, PolicyVersion, is_material, keeps_longer
from reconsent.domain.policy_line import mistakes
from reconsent.domain.use import Held, Use, covers
from tests.drafts import any_version, draft, line_of, row

EMAIL = row("user.contact.email", "essential.service")
OFFERS = row("user.contact.email", "marketing.communications.email", recipients=["adpartner"])


def _use(category: str, version: str | None, data_use: str, recipient: str = "example") -> Use:
    return Use(category, version, data_use, recipient)


def test_a_row_declares_for_the_controller_and_each_recipient() -> None:
    """The controller is a recipient of every row, named or not."""
    declared = {tuple(one) for one in draft(declares=[OFFERS]).declared}
    assert declared == {
        ("user.contact.email", "marketing.communications.email", "example"),
        ("user.contact.email", "marketing.communications.email", "adpartner"),
    }


def test_a_yes_to_several_uses_counts_when_a_version_declares_each() -> None:
    """Parts of a question were declared by different versions: the last of their dates counts."""
    phone = row("user.contact.phone", "marketing.communications.email")
    line = line_of([EMAIL], [OFFERS], [OFFERS, phone], [OFFERS, phone])
    by_mail = _use("user.contact.email", "v1", "marketing.communications.email")
    by_phone = _use("user.contact.phone", "v1", "marketing.communications.email")
    undeclared = _use("user.payment", "v1", "marketing.communications.email")
    assert line.yes_counts_from([by_mail]) == line.versions[1].effective_at
    assert line.yes_counts_from([by_mail, by_phone]) == line.versions[2].effective_at
    assert line.yes_counts_from([by_mail, undeclared]) == line.versions[1].effective_at
    assert line.yes_counts_from([undeclared]) is None


def test_the_version_effective_first_counts_even_if_it_was_published_later() -> None:
    """Effective dates, not the order of publication, decide from when a yes counts."""
    line = line_of([EMAIL], [OFFERS], [OFFERS])
    early = line.versions[2].model_copy(update={"effective_at": datetime(2021, 6, 1, tzinfo=UTC)})
    moved = Policy(name=line.name, versions=(*line.versions[:2], early))
    use = "user.contact.email", "marketing.communications.email", "adpartner"
    assert moved.first_declaring(*use) == early


def test_a_parent_covers_its_children_and_no_namesake() -> None:
    """What is declared of a category or use is declared of its parts, for the same recipient."""
    version = draft(declares=[row("user.contact", "marketing")])
    assert version.declares_use("user.contact.email", "marketing.email", "example")
    assert not version.declares_use("user.contactless", "marketing", "example")
    assert not version.declares_use("user", "marketing", "example")
    assert not version.declares_use("user.contact", "marketing", "adpartner")


def test_ann_is_asked_about_each_use_and_recipient() -> None:
    """Data held under v1 is asked about for what v3 adds, by controller and recipient."""
    line = line_of([EMAIL], [EMAIL], [EMAIL, OFFERS])
    offers = "marketing.communications.email"
    assert line.new_uses([Held("user.contact.email", "v1")]) == {
        _use("user.contact.email", "v1", offers),
        _use("user.contact.email", "v1", offers, "adpartner"),
    }
    assert line.new_uses([Held("user.contact.email", "v3")]) == frozenset()


def test_bo_is_asked_about_the_narrower_category() -> None:
    """Of data broader than what is declared, only the declared part is asked about."""
    new = line_of([EMAIL], [EMAIL, OFFERS]).new_uses([Held("user.contact", "v1")])
    assert {use.data_category for use in new} == {"user.contact.email"}


def test_versions_between_do_not_matter() -> None:
    """What v2 declared and v3 dropped is not asked about under v3."""
    analytics = row("user.contact.email", "analytics")
    line = line_of([EMAIL], [EMAIL, analytics], [EMAIL])
    assert line.new_uses([Held("user.contact.email", v) for v in ("v1", "v2")]) == frozenset()


def test_of_an_unknown_version_all_is_new() -> None:
    """Every use of data of an unknown version is new; nothing is asked of an unpublished one."""
    line = line_of([EMAIL])
    assert line.new_uses([Held("user.contact", None)]) == {
        _use("user.contact.email", None, "essential.service")
    }
    assert line.new_uses([Held("user.contact", "v9")]) == frozenset()


def test_a_new_use_that_another_covers_is_left_out() -> None:
    """The broader of two questions about the same version's data is enough."""
    line = line_of(
        [row("user.payment", "service")],
        [row("user.contact", "marketing"), row("user.contact.email", "marketing.email")],
    )
    held = [Held("user.contact", "v1"), Held("user.contact.email", "v1")]
    assert line.new_uses(held) == {_use("user.contact", "v1", "marketing")}


@given(any_version(), any_version(), st.sampled_from(["user", "user.contact", "user.payment"]))
def test_a_new_use_is_declared_now_and_was_not_then(
    old: PolicyVersion, new: PolicyVersion, category: str
) -> None:
    """What is asked is declared by the latest version, not by the earlier one, and asked once."""
    old = old.model_copy(update={"version": "old"})
    new = new.model_copy(update={"version": "new", "follows": "old"})
    asked = Policy(name="p", versions=(old, new)).new_uses([Held(category, "old")])
    for use in asked:
        what = (use.data_category, use.data_use, use.recipient)
        assert new.declares_use(*what)
        assert not old.declares_use(*what)
    assert not any(covers(one, other) for one in asked for other in asked if one != other)


def test_the_version_in_force_is_the_last_effective() -> None:
    """A version is in force from its effective time; before the first one, the first is."""
    line = line_of([EMAIL], [EMAIL])
    named = {
        datetime(2000, 1, 1, tzinfo=UTC): "v1",
        datetime(2021, 12, 31, 23, 59, 59, tzinfo=UTC): "v1",
        datetime(2022, 1, 1, tzinfo=UTC): "v2",
        datetime(2050, 1, 1, tzinfo=UTC): "v2",
    }
    assert {at: line.in_force(at).version for at in named} == named


@pytest.mark.parametrize(
    ("before", "after", "material"),
    [
        ({}, {}, False),
        ({}, {"declares": [EMAIL, OFFERS]}, True),
        ({"declares": [EMAIL, OFFERS]}, {"declares": [EMAIL]}, False),
        ({}, {"declares": [row("user.contact.email", "essential.service.support")]}, False),
        ({}, {"declares": [EMAIL | {"recipients": ["payer"]}]}, True),
        ({}, {"controller": "other"}, True),
        ({"declares": [EMAIL | {"recipients": ["other"]}]}, {"controller": "other"}, True),
        ({}, {"notice": {"material": True}}, True),
        ({}, {"properties": ["campaigner.example", "blast.example"]}, False),
        ({"declares": [EMAIL | {"retention": "P1Y"}]}, {}, True),
        ({}, {"declares": [EMAIL | {"retention": "P1Y"}]}, False),
        (
            {"declares": [EMAIL | {"retention": "P1Y"}]},
            {"declares": [EMAIL | {"retention": "P365D"}]},
            False,
        ),
        (
            {"declares": [EMAIL | {"retention": "P1M"}]},
            {"declares": [EMAIL | {"retention": "P31D"}]},
            True,
        ),
        (
            {"declares": [EMAIL | {"retention": "P0D"}]},
            {"declares": [EMAIL | {"retention": "P1D"}]},
            True,
        ),
        (
            {"declares": [EMAIL | {"retention": "P1D"}, row("user", "essential", retention="P9Y")]},
            {"declares": [EMAIL | {"retention": "P9Y"}]},
            False,
        ),
    ],
)  # fmt: skip
def test_what_makes_a_version_material(
    before: dict[str, Any],
    after: dict[str, Any],
    material: bool,  # noqa: FBT001 (a table)
) -> None:
    """A new use, a new controller, keeping longer, or saying so; a first version never is."""
    old, new = draft(**before), draft(version="v2", follows="v1", **after)
    assert is_material(new, old) == material
    assert not is_material(new, None)


def test_the_latest_material_version_is_the_one_that_was_noticed() -> None:
    """Versions that change nothing do not hide the last that did."""
    line = line_of([EMAIL], [EMAIL, OFFERS], [EMAIL, OFFERS])
    assert line.latest_material == line.by_name["v2"]
    assert line_of([EMAIL]).latest_material is None


@given(any_version())
def test_a_version_keeps_nothing_longer_than_itself(version: PolicyVersion) -> None:
    """Retention is longer only than another version's."""
    assert not any(keeps_longer(one, version) for one in version.declares)


def test_controllers_and_recipients_use_what_a_row_declares() -> None:
    """RULES 2: joint controllers as well; with `controller: false` the listed recipients alone."""
    version = draft(
        joint_controllers=["sister"],
        declares=[
            row("user.contact", "service", recipients=["payer"]),
            row("user.payment", "service", recipients=["payer", "sister"], controller=False),
        ],
    )
    assert version.declared == {
        ("user.contact", "service", "example"),
        ("user.contact", "service", "sister"),
        ("user.contact", "service", "payer"),
        ("user.payment", "service", "payer"),
        ("user.payment", "service", "sister"),
    }
    assert not is_material(version, version)
    assert is_material(version, draft(declares=[row("user", "service", recipients=["payer"])]))
    nobody = draft(declares=[row("user.payment", "service", controller=False)])
    assert mistakes(nobody, None, {}) == [
        (("declares", 0, "controller"), "is false, and the row has no recipients")
    ]
