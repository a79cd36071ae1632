"""YAML whose values know their lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconsent.files.lined_yaml import parse


def test_aliases_are_followed_but_not_into_themselves() -> None:
    """Aliases are expanded, unless they contain themselves or would fill the memory."""
    assert parse("a: &x [1]\nb: *x\n").value == {"a": ["1"], "b": ["1"]}
    assert [fault.message for fault in parse("a: &x [*x]\n").faults] == ["contains itself"]
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40)
    )
    assert parse(bomb).faults == ()


@given(st.text(max_size=200))
def test_any_text_can_be_reported_about(text: str) -> None:
    """Reading any file gives a value or a list of faults."""
    document = parse(text)
    assert document.faults or document.root is not None
