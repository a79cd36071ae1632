"""YAML whose values have line numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconsent.files.lined_yaml import parse


def test_aliases_are_expanded_unless_recursive() -> None:
    """An alias that contains itself is a fault; nested aliases do not fill the memory."""
    assert parse("a: &x [1]\nb: *x\n").value == {"a": ["1"], "b": ["1"]}
    assert [fault.message for fault in parse("a: &x [*x]\n").faults] == ["contains itself"]
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40)
    )
    assert parse(bomb).faults == ()


@given(st.text(max_size=200))
def test_any_text_gives_a_value_or_faults(text: str) -> None:
    """Parsing never raises."""
    document = parse(text)
    assert document.faults or document.root is not None
