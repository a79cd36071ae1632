"""Addresses are found in texts that nobody can read, whatever is written around them. RULES 28."""

from __future__ import annotations

import pytest

from reconsent.domain.message_names import names_of


@pytest.mark.parametrize(
    "text",
    [
        "email=ann@people.test&status=x", "550|ann@people.test|no", "/ann@people.test/",
        "mailto:ann@people.test?subject=a", "*ann@people.test*", "`ann@people.test`",
        "ann@people.test!", "RCPT=ann@people.test", "a=b=ann@people.test.", "<ann@people.test>",
    ],
)  # fmt: skip
def test_an_address_is_found_in_a_text(text: str) -> None:
    """Without what is written right before or after it."""
    assert b"ann@people.test" in names_of(text.encode(), str.encode)


def test_what_an_address_may_contain_stays_part_of_it() -> None:
    """It may be that of another person."""
    assert b"a=ann@people.test" in names_of(b"to a=ann@people.test", str.encode)
