"""YAML whose every value knows its line, however odd it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconsent.files.lined_yaml import parse


def test_aliases_are_followed_but_not_into_themselves() -> None:
    """What an alias repeats is read; what contains itself, or would fill the memory, is not."""
    assert parse("a: &x [1]\nb: *x\n").value == {"a": ["1"], "b": ["1"]}
    assert [fault.message for fault in parse("a: &x [*x]\n").faults] == ["contains itself"]
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40)
    )
    assert parse(bomb).faults == ()


@given(st.text(max_size=200))
def test_no_text_is_too_odd_to_be_told_about(text: str) -> None:
    """Whatever a file holds, reading it ends with a value or with faults."""
    document = parse(text)
    assert document.faults or document.root is not None
