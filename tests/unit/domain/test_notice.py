"""What planning does for one account. RULES 9 to 15."""

from __future__ import annotations

import pytest

from reconsent.domain.consent import Decision, EventState
from reconsent.domain.notice import (
    Last,
    Reach,
    Step,
    covered_by,
    next_step,
    questions,
    settled,
    suppression,
)
from reconsent.domain.use import Use

OFFERS = Use("user.contact.email", "v1", "marketing.email", "acme")
WIDER = Use("user.contact", "v1", "marketing", "acme")
COUNTS = Use("user.behavior", "v1", "analytics", "acme")
REACHABLE = Reach(status="active", contact="all", minor=False, address="ok")


def reach(**changed: object) -> Reach:
    """Return the reach of an account that can be mailed, except for the given changes."""
    fields = {"status": "active", "contact": "all", "minor": False, "address": "ok"}
    return Reach(**(fields | changed))  # type: ignore[arg-type]


def mailed(*asks: Use, **changed: object) -> Last:
    """Return a mailed choice notice."""
    fields: dict[str, object] = {"kind": "choice", "state": "accepted", "asks": frozenset(asks)}
    return Last(**(fields | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("who", "choice", "information"),
    [
        (reach(), None, None),
        (reach(contact="service"), None, "not_opted_in"),
        (reach(contact="none"), "all_comms_opt_out", "all_comms_opt_out"),
        (reach(status="deactivated", contact="none"), "deactivated", "deactivated"),
        (reach(minor=True, status="deactivated"), "minor", "minor"),
        (reach(address="none"), "no_address", "no_address"),
        (reach(address="none", contact="service"), "no_address", "not_opted_in"),
        (reach(address="bounced"), "bounced", "bounced"),
    ],
)
def test_the_first_reason_to_suppress_is_given(
    who: Reach, choice: str | None, information: str | None
) -> None:
    """Reasons apply in their order, for each kind of notice."""
    assert suppression("choice", who) == choice
    assert suppression("information", who) == information


@pytest.mark.parametrize(
    ("ask", "last", "who", "expected"),
    [
        ({OFFERS}, None, REACHABLE, Step(plan="choice")),
        ({OFFERS}, mailed(OFFERS), REACHABLE, Step()),
        ({OFFERS}, mailed(WIDER, OFFERS), REACHABLE, Step()),
        ({OFFERS, COUNTS}, mailed(OFFERS), REACHABLE, Step(plan="choice")),
        ({COUNTS}, mailed(OFFERS), REACHABLE, Step(plan="choice")),
        (set(), mailed(OFFERS), REACHABLE, Step()),
        ({OFFERS}, mailed(OFFERS, dead=True), REACHABLE, Step(plan="choice")),
        (
            {OFFERS},
            mailed(OFFERS, state="bounced", undelivered=True),
            reach(address="bounced"),
            Step(),
        ),
        (
            {OFFERS},
            mailed(OFFERS, state="bounced", undelivered=True),
            REACHABLE,
            Step(plan="choice"),
        ),
        (
            {OFFERS},
            mailed(OFFERS, state="suppressed"),
            REACHABLE,
            Step(last="due"),
        ),
        (
            {OFFERS},
            mailed(OFFERS, state="due"),
            reach(contact="none"),
            Step(last="suppressed", suppression="all_comms_opt_out"),
        ),
        (set(), mailed(OFFERS, state="due"), REACHABLE, Step(last="superseded")),
        ({OFFERS}, mailed(OFFERS, state="superseded"), REACHABLE, Step(plan="choice")),
        (
            {OFFERS},
            Last(kind="information", state="due", asks=frozenset()),
            REACHABLE,
            Step(plan="choice", last="superseded"),
        ),
        (
            {OFFERS},
            Last(kind="information", state="accepted", asks=frozenset()),
            REACHABLE,
            Step(plan="choice"),
        ),
        ({OFFERS}, None, reach(status="deleted"), Step()),
    ],
)
def test_an_account_gets_what_it_needs_and_nothing_twice(
    ask: set[Use], last: Last | None, who: Reach, expected: Step
) -> None:
    """Planning depends on the ask, the last notice and the reach."""
    assert next_step(who, frozenset(ask), last) == expected


def test_information_goes_to_those_with_nothing_to_ask_once() -> None:
    """An information notice is planned only if it is due and there is no notice yet."""
    assert next_step(REACHABLE, frozenset(), None, inform=True) == Step(plan="information")
    assert next_step(REACHABLE, frozenset(), None) == Step()
    told = Last(kind="information", state="accepted", asks=frozenset())
    assert next_step(REACHABLE, frozenset(), told, inform=True) == Step()


@pytest.mark.parametrize(
    ("ask", "standing", "expected"),
    [
        ({OFFERS}, (), None),
        (set(), (Decision(EventState.GIVEN, OFFERS),), "answered"),
        (set(), (Decision(EventState.EXPIRED, OFFERS),), "expired"),
        (set(), (), "void"),
    ],
)
def test_a_question_is_open_while_something_it_asks_is_asked(
    ask: set[Use], standing: tuple[Decision, ...], expected: str | None
) -> None:
    """How a question was settled depends on the current standing."""
    assert settled(frozenset({OFFERS}), frozenset(ask), standing) == expected


def test_a_broader_question_covers_a_narrower_ask() -> None:
    """A question about all contact data asks about the address."""
    assert covered_by(frozenset({OFFERS}), frozenset({WIDER}))
    assert not covered_by(frozenset({WIDER}), frozenset({OFFERS}))


def test_one_question_a_use_and_recipient() -> None:
    """All data that a use by one recipient concerns belongs to one question."""
    other = OFFERS._replace(collected_under=None)
    partner = OFFERS._replace(recipient="partner")
    asked = questions({OFFERS, other, partner})
    assert [(q.data_use, q.recipient, len(q.concerns)) for q in asked] == [
        ("marketing.email", "acme", 2),
        ("marketing.email", "partner", 1),
    ]
    assert {use for question in asked for use in question.uses} == {OFFERS, other, partner}
