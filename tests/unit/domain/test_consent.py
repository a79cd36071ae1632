"""Decisions: what applies, in whatever order it is recorded. RULES 17 to 19."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.consent import (
    Answer,
    Decision,
    Entry,
    EventState,
    Ledger,
    answerable_again,
    event_states,
    last_answer,
    last_other,
    standing,
    undecided,
)
from reconsent.domain.use import ANY, Held, Use, covers

START = datetime(2026, 1, 1, tzinfo=UTC)
EMAIL = Use("user.contact.email", "v1", "marketing.email", "acme")


def day(number: int) -> datetime:
    """Return a day of January."""
    return START + timedelta(days=number)


def ledger(
    *entries: Entry, first: dict[Held, datetime] | None = None, deleted_at: datetime | None = None
) -> Ledger:
    """Return a ledger of a controller that is acme at all times."""
    return Ledger(
        entries=entries,
        first_collected=first or {},
        deleted_at=deleted_at,
        controller=lambda _: "acme",
    )


def states(found: Ledger) -> list[EventState]:
    """Return the states of the standing decisions."""
    return [decision.event_state for decision in standing(found)]


def test_a_no_after_a_yes_is_a_withdrawal() -> None:
    """Only the no applies; the ledger shows both."""
    said = ledger(Entry("allow", EMAIL, day(1)), Entry("deny", EMAIL, day(2)))
    assert states(said) == [EventState.WITHDRAWN]
    assert event_states(said) == [EventState.GIVEN, EventState.WITHDRAWN]


def test_of_equal_times_the_no_is_later() -> None:
    """At the same time, the no applies, as a refusal rather than a withdrawal."""
    said = ledger(Entry("deny", EMAIL, day(1)), Entry("allow", EMAIL, day(1)))
    assert states(said) == [EventState.REFUSED]


def test_an_expiry_outweighs_no_answer() -> None:
    """An expiry dated after a yes changes nothing."""
    said = ledger(Entry("allow", EMAIL, day(1)), Entry("expired", EMAIL, day(9)))
    assert states(said) == [EventState.GIVEN]


def test_a_broad_no_holds_for_what_it_does_not_name() -> None:
    """A no to a use on the phone covers data that arrives later."""
    no = Use(ANY, ANY, "marketing", ANY)
    stands = standing(ledger(Entry("deny", no, day(1))))
    assert not undecided([EMAIL, EMAIL._replace(collected_under=None)], stands)


def test_a_broad_yes_covers_only_data_already_collected() -> None:
    """Data collected after a yes is not covered by it."""
    yes = Use(ANY, ANY, "marketing.email", ANY)
    first = {Held("user.contact.email", "v1"): day(0), Held("user.payment", "v1"): day(5)}
    (decision,) = standing(ledger(Entry("allow", yes, day(1)), first=first))
    assert decision.use == EMAIL


def test_a_yes_about_a_category_covers_the_narrower_of_it_and_what_is_held() -> None:
    """Allowing use of contact data, of which the address is held, covers the address."""
    yes = Use("user.contact", ANY, "marketing.email", "acme")
    first = {Held("user.contact.email", "v1"): day(0)}
    (decision,) = standing(ledger(Entry("allow", yes, day(1)), first=first))
    assert decision.use == EMAIL


def test_nothing_from_before_a_deletion_stands() -> None:
    """Decisions dated up to the latest deletion are invalidated."""
    said = ledger(Entry("allow", EMAIL, day(1)), deleted_at=day(1))
    assert standing(said) == ()
    assert event_states(said) == [EventState.INVALIDATED]


def test_at_equal_times_the_no_is_the_last_answer() -> None:
    """The page shows the answer that applies, in whatever order the two were recorded."""
    yes, no = Entry("allow", EMAIL, day(1)), Entry("deny", EMAIL, day(1))
    assert last_answer(ledger(yes, no), [EMAIL]) == no
    assert last_answer(ledger(no, yes), [EMAIL]) == no


def test_an_expiry_is_not_the_last_answer_where_a_person_answered() -> None:
    """An expiry counts only without an answer, and nothing counts from before a deletion."""
    yes, expiry = Entry("allow", EMAIL, day(1)), Entry("expired", EMAIL, day(9))
    assert last_answer(ledger(yes, expiry), [EMAIL]) == yes
    assert last_answer(ledger(yes, expiry, deleted_at=day(2)), [EMAIL]) == expiry
    assert last_answer(ledger(yes, deleted_at=day(2)), [EMAIL]) is None


def test_something_else_that_was_said_about_a_use_is_found() -> None:
    """A different answer, or the same about another part; not what is about other uses."""
    part = EMAIL._replace(data_use="marketing.email.offers")
    other = EMAIL._replace(recipient="partner")
    said: set[tuple[Answer, Use]] = {("deny", EMAIL), ("allow", other)}
    no, others_yes = Entry("deny", EMAIL, day(1)), Entry("allow", other, day(1))
    assert last_other([], said, EMAIL) == 0
    assert last_other([no, others_yes, no], said, EMAIL) == 0
    assert last_other([no, Entry("deny", part, day(2)), no], said, EMAIL) == 2
    assert last_other([Entry("allow", EMAIL, day(2)), no], said, EMAIL) == 1
    assert last_other([no, Entry("deny", other, day(2))], said, other) == 2


def test_what_was_decided_or_agreed_to_can_be_answered_again() -> None:
    """Undecided uses are left out; a refusal counts only where it was asked about."""
    other, open_use = EMAIL._replace(recipient="partner"), EMAIL._replace(recipient="third")
    yes, no = Decision(EventState.GIVEN, EMAIL), Decision(EventState.REFUSED, other)
    assert answerable_again(frozenset({other, open_use}), [yes, no]) == {EMAIL, other}
    assert answerable_again(frozenset({open_use}), [yes, no]) == {EMAIL}


USES = st.builds(
    Use,
    st.sampled_from(("user", "user.contact", "user.contact.email")),
    st.sampled_from(("v1", None)),
    st.sampled_from(("marketing", "marketing.email")),
    st.sampled_from(("acme", "partner")),
)
ENTRIES = st.builds(
    Entry, st.sampled_from(("allow", "deny", "expired")), USES, st.integers(0, 4).map(day)
)


@given(st.lists(ENTRIES, max_size=7).flatmap(lambda s: st.tuples(st.just(s), st.permutations(s))))
def test_the_order_of_recording_does_not_matter(orders: tuple[list[Entry], list[Entry]]) -> None:
    """The same entries give the same standing in any order."""
    one, other = orders
    assert standing(ledger(*one)) == standing(ledger(*other))


@given(st.lists(ENTRIES, max_size=7), USES)
def test_the_standing_has_the_effect_of_the_whole_ledger(said: Sequence[Entry], asked: Use) -> None:
    """For any use, the last answer that covers it has the same effect before and after."""
    answers = sorted(
        ((s.decided_at, s.answer == "deny", s.answer) for s in said
         if s.answer != "expired" and covers(s.use, asked)),
    )  # fmt: skip
    stands = [d for d in standing(ledger(*said)) if covers(d.use, asked)]
    spoken = [d for d in stands if d.event_state != EventState.EXPIRED]
    assert bool(spoken) == bool(answers)
    if answers and answers[-1][2] == "allow":
        assert EventState.GIVEN in {d.event_state for d in spoken}
