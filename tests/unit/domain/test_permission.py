"""May this data be used? Each line of the rule answers in its turn. RULES 20 to 26."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconsent.domain.account import Contact, PermissionSubject, Status
from reconsent.domain.consent import Decision, EventState
from reconsent.domain.permission import allowed, permit
from reconsent.domain.policy import Policy
from reconsent.domain.use import ANY, Held, Use
from tests.drafts import draft

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EFFECTIVE = NOW + timedelta(days=30)
OFFERS = "marketing.communications.email"
ASKED = Use("user.contact.email", "v1", OFFERS, "acme")


def policy() -> Policy:
    """Return a line whose second version declares offers, effective in a month."""
    first = draft(
        version="v1",
        follows=None,
        controller="acme",
        effective_at="2020-01-01T00:00:00Z",
        declares=[{"data": "user.contact.email", "uses": ["essential.service"]}],
    )
    second = draft(
        version="v2",
        follows="v1",
        controller="acme",
        effective_at=EFFECTIVE.isoformat(),
        declares=[{"data": "user.contact.email", "uses": ["essential.service", OFFERS]}],
    )
    return Policy(name="campaigner", versions=(first, second))


def who(
    *decisions: Decision, status: Status = "active", contact: Contact = "all", minor: bool = False
) -> PermissionSubject:
    """Return an account with its standing decisions."""
    return PermissionSubject(status=status, contact=contact, minor=minor, decisions=decisions)


def said(state: EventState, use: Use = ASKED) -> Decision:
    """Return a decision."""
    return Decision(state, use)


@pytest.mark.parametrize(
    ("account", "use", "at", "expected"),
    [
        (None, ASKED, NOW, (False, "unknown_account", None)),
        (who(status="deleted"), ASKED, NOW, (False, "account_deleted", None)),
        (who(minor=True), ASKED, NOW, (False, "suppressed", "minor")),
        (who(), ASKED._replace(collected_under="v9"), NOW, (False, "unknown_version", None)),
        (who(said(EventState.REFUSED)), ASKED, EFFECTIVE, (False, "refused", None)),
        (who(said(EventState.WITHDRAWN)), ASKED, EFFECTIVE, (False, "withdrawn", None)),
        (who(), ASKED._replace(data_use="essential.service"), NOW, (True, "declared", None)),
        (who(), ASKED._replace(collected_under="v2"), NOW, (True, "declared", None)),
        (
            who(contact="none"),
            ASKED._replace(data_use="essential.service"),
            NOW,
            (True, "declared", None),
        ),
        (
            who(said(EventState.GIVEN), contact="none"),
            ASKED,
            EFFECTIVE,
            (False, "suppressed", "all_comms_opt_out"),
        ),
        (who(status="deactivated"), ASKED, NOW, (False, "suppressed", "deactivated")),
        (who(said(EventState.GIVEN)), ASKED, NOW, (False, "not_effective_yet", None)),
        (who(said(EventState.GIVEN)), ASKED, EFFECTIVE, (True, "consented", None)),
        (who(said(EventState.EXPIRED)), ASKED, EFFECTIVE, (False, "expired", None)),
        (who(), ASKED, NOW, (False, "pending", None)),
        (who(), ASKED._replace(collected_under=None), NOW, (False, "pending", None)),
        (who(), ASKED._replace(data_use="analytics"), NOW, (False, "undeclared", None)),
        (who(), ASKED._replace(recipient="partner"), NOW, (False, "undeclared", None)),
        (who(), ASKED._replace(data_category="user.contact"), NOW, (False, "undeclared", None)),
    ],
)
def test_the_first_line_that_applies_answers(
    account: PermissionSubject | None,
    use: Use,
    at: datetime,
    expected: tuple[bool, str, str | None],
) -> None:
    """Every reason is given where its line is the first to apply."""
    found = permit(account, policy(), use, at)
    assert (found.allowed, found.reason, found.suppression) == expected


def test_a_property_of_no_policy_is_undeclared() -> None:
    """Where no policy governs, nothing is declared."""
    assert permit(who(), None, ASKED, NOW).reason == "undeclared"


def test_a_no_to_a_part_is_a_no_to_the_whole_until_a_later_yes_covers_it() -> None:
    """A refusal of the address refuses all contact data, unless a later yes covers the address."""
    whole = ASKED._replace(data_category="user.contact", data_use="essential.service")
    no = said(EventState.REFUSED, ASKED._replace(data_use="essential"))
    yes = said(EventState.GIVEN, whole)
    assert permit(who(no), policy(), whole, NOW).reason == "refused"
    assert permit(who(yes, no), policy(), whole, NOW).reason == "refused"
    assert permit(who(no, yes), policy(), whole, NOW).reason != "refused"


def test_a_no_to_a_declared_use_is_honoured() -> None:
    """A refusal also applies to uses that the data's own version declares."""
    no = said(EventState.REFUSED, Use(ANY, ANY, "essential", ANY))
    asked = ASKED._replace(data_use="essential.service")
    assert permit(who(no), policy(), asked, NOW).reason == "refused"


@pytest.mark.parametrize(
    ("account", "held", "listed"),
    [
        (who(), Held("user.contact", "v1"), {("essential.service", "v1")}),
        (who(), Held("user.contact.email", None), set()),
        (
            who(said(EventState.GIVEN)),
            Held("user.contact", "v1"),
            {("essential.service", "v1"), (OFFERS, "v2")},
        ),
        (
            who(said(EventState.GIVEN, ASKED._replace(data_use="marketing"))),
            Held("user", "v1"),
            {("essential.service", "v1"), (OFFERS, "v2")},
        ),
        (
            who(said(EventState.GIVEN), contact="none"),
            Held("user.contact.email", "v1"),
            {("essential.service", "v1")},
        ),
        (who(said(EventState.GIVEN), minor=True), Held("user.contact.email", "v1"), set()),
        (
            who(said(EventState.REFUSED, Use(ANY, ANY, "essential.service.notify", ANY))),
            Held("user.contact.email", "v1"),
            set(),
        ),
    ],
)
def test_what_is_allowed_is_listed_once(
    account: PermissionSubject, held: Held, listed: set[tuple[str, str]]
) -> None:
    """Declared and agreed uses are listed as far as a version declares them."""
    found = allowed(account, policy(), held)
    assert {(one.use.data_use, one.version) for one in found} == listed
    assert len(found) == len(listed)
    assert all(permit(account, policy(), one.use, EFFECTIVE).allowed for one in found)
