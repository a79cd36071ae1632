"""Which versions may follow which, and what a policy file may say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from reconsent.domain.errors import BadInputError
from reconsent.domain.policy import Policy, PolicyVersion
from reconsent.domain.policy_line import admit, mistakes
from tests.drafts import draft, line_of, row

EMAIL = row("user.contact.email", "essential.service")


def _told(version: PolicyVersion, line: Policy | None, **owners: str) -> list[str]:
    return [
        ".".join(map(str, place)) + ": " + message
        for place, message in mistakes(version, line, owners)
    ]


def test_a_version_follows_the_latest_of_its_line() -> None:
    """A first version follows nothing; a later one the latest, at its time or after."""
    line = line_of([EMAIL], [EMAIL])
    late = "2030-01-01T00:00:00Z"
    assert _told(draft(), None) == []
    assert _told(draft(follows="v0"), None) == ["follows: 'v0' is not published: publish it first"]
    assert _told(draft(version="v3", follows="v2", effective_at=late), line) == []
    for follows in (None, "v1", "v9"):
        assert _told(draft(version="v3", follows=follows, effective_at=late), line) == [
            "follows: must follow 'v2', the latest published"
        ]
    early = draft(version="v3", follows="v2", effective_at="2021-06-01T00:00:00Z")
    assert _told(early, line) == ["effective_at: effective before 'v2', which it follows"]
    same = draft(version="v3", follows="v2", effective_at=line.latest.effective_at)
    assert _told(same, line) == []


def test_a_property_stays_with_its_policy() -> None:
    """A property of another policy, one that is left out, and one listed twice are mistakes."""
    line = Policy(name="campaigner", versions=(draft(properties=["a", "b"]),))
    version = draft(version="v2", follows="v1", properties=["a", "c", "a"])
    assert _told(version, line, a="campaigner", c="other") == [
        (
            "properties.1: c belongs to policy 'other', and a property cannot move to "
            "another policy: leave it out here, or publish these terms as the next version of "
            "'other'"
        ),
        "properties.2: a is listed twice",
        "properties: b is missing, which 'v1' lists: a property stays with its policy, so list it",
    ]


def test_one_use_of_data_is_listed_in_one_row() -> None:
    """Declaring a use twice for a category is a mistake; for a part of the category it is not."""
    version = draft(
        declares=[
            row("user.contact", "service", "marketing", "service"),
            row("user.contact.email", "service"),
            row("user.contact", "marketing"),
        ]
    )
    assert _told(version, None) == [
        "declares.0.uses.2: user.contact is already put to service in row 1",
        "declares.2.uses.0: user.contact is already put to marketing in row 1",
    ]


def test_a_version_that_breaks_a_rule_is_not_admitted() -> None:
    """The first mistake is the error; a version without any is admitted."""
    admit(draft(), None, {})
    with pytest.raises(BadInputError, match="belongs to policy 'other'"):
        admit(draft(), None, {"campaigner.example": "other"})


@pytest.mark.parametrize(
    "changed",
    [
        {"surprise": 1},
        {"declares": [row("user.contact", "marketing emails")]},
        {"declares": [row("user.contact", ".marketing")]},
        {"declares": [row("user.contact", "marketing\n")]},
        {"declares": [row("user.contact")]},
        {"declares": [EMAIL | {"recipients": ["Ad Partner"]}]},
        {"controller": ""},
        {"properties": []},
        {"properties": ["a/b"]},
        {"texts": {}},
        {"texts": {"en": {"title": "T", "summary": "S"}}},
        {"texts": {"en": {"title": "  ", "summary": "S", "body": "B"}}},
        {"notice": {"information_mail": "all"}},
        {"notice": {"reminders": ["soon"]}},
    ],
)
def test_what_the_policy_file_does_not_know_is_refused(changed: dict[str, Any]) -> None:
    """Unknown keys and malformed values are errors."""
    with pytest.raises(ValidationError):
        draft(**changed)
